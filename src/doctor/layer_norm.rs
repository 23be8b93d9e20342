//! Check of `block/layer_norm.wgsl` and its variant, with the epsilons of timm, transformers and LV-ViT.

use std::fmt;

use super::data::{download_as, rounding, storing, unset};
use super::{Check, Difference, dimensions, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision, Variant};
use crate::kernels::layer_norm::{Bindings, Params, Sharing, record, record_shared};
use crate::random::Random;
use crate::reference::layer_norm::layer_norm;
use crate::reference::linear::gather;

pub(super) const CHECK: Check = Check {
    kernel: "layer_norm",
    dimensions: "rows, width",
    sizes: &[&[1, 4], &[9, 36], &[197, 768], &[33, 1000], &[273, 100]],
    compare: |context, size, seed| compare_all(context, Variant::Plain, dimensions(size)?, seed),
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "layer_norm_subgroup",
    compare: |context, size, seed| compare_all(context, Variant::Subgroup, dimensions(size)?, seed),
    ..CHECK
};

/// What a session uses of the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) variant: Variant,
    pub(crate) output: Precision,
    /// Whether rows lie elsewhere.
    pub(crate) gathers: bool,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (variant, gathers) = (format!("{:?}", self.variant), if self.gathers { " gathering" } else { "" });
        write!(f, "layer_norm {} {}{gathers}", variant.to_lowercase(), self.output)
    }
}

/// Every form.
fn compare_all(context: &Context, variant: Variant, size: [usize; 2], seed: u64) -> Result<Difference> {
    let mut worst = Difference::NONE;
    for (output, gathers) in Precision::ALL.into_iter().flat_map(|output| [(output, false), (output, true)]) {
        let form = Use { variant, output, gathers };
        match variant {
            Variant::Plain => worst = worst.worse(form.compare(context, size, seed)?),
            Variant::Subgroup => {
                for sharing in Sharing::all(context, &params_of(size, 0.0)) {
                    worst = worst.worse(form.compare_shared(context, Some(sharing), size, seed)?);
                }
            }
        }
    }
    Ok(worst)
}

/// Of rows of about so many numbers.
fn params_of([rows, width]: [usize; 2], epsilon: f32) -> Params {
    Params { rows: rows as u32, width4: width.div_ceil(4) as u32, epsilon }
}

impl Use {
    /// Kernel and twin for rows of about so many numbers.
    pub(crate) fn compare(self, context: &Context, size: [usize; 2], seed: u64) -> Result<Difference> {
        self.compare_shared(context, None, size, seed)
    }

    /// The same with rows made as `sharing` says, where it does.
    fn compare_shared(
        self,
        context: &Context,
        sharing: Option<Sharing>,
        [rows, width]: [usize; 2],
        seed: u64,
    ) -> Result<Difference> {
        let Self { variant, output, gathers } = self;
        let width = width.next_multiple_of(4);
        let mut random = Random::named("layer_norm", seed);
        let mut x = Vec::with_capacity(rows * width);
        for _ in 0..rows {
            let offset = 2.0 * random.unit();
            x.extend(random.tensor(width, offset, 1.0));
        }
        let weight = random.tensor(width, 1.0, 0.5);
        let bias = random.tensor(width, 0.0, 0.5);
        let x_buffer = upload(context, "x", &x)?;
        let (weight_buffer, bias_buffer) = (upload(context, "weight", &weight)?, upload(context, "bias", &bias)?);
        // Rows in another order, some twice.
        let gathered: Vec<u32> = (0..rows as u32).rev().map(|row| row * 7 % rows as u32).collect();
        let rows_buffer = upload(context, "rows", &gathered)?;
        let x = if gathers { gather(&x, width, &gathered) } else { x };
        let mut worst = Difference::NONE;
        for epsilon in [1e-6, 1e-12, 1e-5] {
            let y = unset(context, "y", rows * width)?;
            let params = params_of([rows, width], epsilon);
            let rows_buffer = gathers.then_some(&rows_buffer);
            let bindings =
                Bindings { x: &x_buffer, weight: &weight_buffer, bias: &bias_buffer, y: &y, rows: rows_buffer };
            execute(context, |recorder| match sharing {
                Some(sharing) => record_shared(recorder, sharing, output, params, bindings),
                None => record(recorder, variant, output, params, bindings),
            })?;
            let got = download_as(context, &y, rows * width, output)?;
            let twin = layer_norm(&x, &weight, &bias, epsilon);
            // A lane adds an eighth of the row as vec4s (or less), then four elements, then the lanes (in up to six steps where
            // there are more of them): sums of so many roundings.
            let tolerance = rounding(width.div_ceil(32) + 12) * condition(&x, width, epsilon) + storing(output);
            worst = worst.worse(Difference::of_floats_near(&got, &twin, 1.0, tolerance));
        }
        Ok(worst)
    }
}

/// How much larger than the deviation the numbers are that lose bits: differences to a row's first element.
fn condition(x: &[f32], width: usize, epsilon: f32) -> f64 {
    let of_row = |row: &[f32]| {
        let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / width as f64;
        let variance = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / width as f64;
        1.0 + (mean - f64::from(row[0])).abs() / (variance + f64::from(epsilon)).sqrt()
    };
    x.chunks_exact(width).map(of_row).fold(1.0, f64::max)
}
