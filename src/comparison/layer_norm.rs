//! Comparison of `block/layer_norm.wgsl` and its ways, from rows in order and from gathered rows, to each precision,
//! with the epsilons of timm, transformers and LV-ViT.

use super::data::{download_as, rounding, storing, unset};
use super::{Check, Difference, compare_ways, dimensions, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision, Traits, Way};
use crate::kernels::layer_norm::{Bindings, Call, KERNEL, Params, SUBGROUP as OCTETS, record};
use crate::random::Random;
use crate::reference::layer_norm::layer_norm;
use crate::reference::linear::gather;
use crate::ways::Verified;

pub(super) const CHECKS: &[Check] = &[CHECK, SUBGROUP];

const CHECK: Check = Check {
    kernel: &KERNEL,
    dimensions: "rows, width",
    sizes: &[&[1, 4], &[9, 36], &[197, 768], &[33, 1000], &[273, 100]],
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &KERNEL, &calls(size)?, seed).await }),
};

const SUBGROUP: Check = Check {
    kernel: &OCTETS,
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &OCTETS, &calls(size)?, seed).await }),
    ..CHECK
};

/// Calls of one size, to each precision, with rows in order and gathered, and with each epsilon.
fn calls(size: &[usize]) -> Result<Vec<Call>> {
    let [rows, width] = dimensions(size)?;
    let params = |epsilon| Params { rows: rows as u32, width4: width.div_ceil(4) as u32, epsilon };
    let of_output = |output| [false, true].map(|gathers| (output, gathers));
    let of_epsilon =
        |(output, gathers)| [1e-6, 1e-12, 1e-5].map(|epsilon| Call { params: params(epsilon), output, gathers });
    Ok(Precision::ALL.into_iter().flat_map(of_output).flat_map(of_epsilon).collect())
}

impl Verified for Call {
    /// Few rows and many rows of this call's width.
    fn samples(&self, _traits: &Traits) -> Vec<Self> {
        [1, 9, 33, 255, 256, 273].map(|rows| Self { params: Params { rows, ..self.params }, ..*self }).to_vec()
    }

    async fn compare(&self, context: &Context, way: &'static Way<Self>, seed: u64) -> Result<Difference> {
        let Self { params: Params { rows, width4, epsilon }, output, gathers } = *self;
        let (rows, width) = (rows as usize, width4 as usize * 4);
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
        // Rows in another order, some of them twice.
        let gathered: Vec<u32> = (0..rows as u32).rev().map(|row| row * 7 % rows as u32).collect();
        let rows_buffer = upload(context, "rows", &gathered)?;
        let x = if gathers { gather(&x, width, &gathered) } else { x };
        let y = unset(context, "y", rows * width)?;
        let bindings = Bindings {
            x: &x_buffer,
            weight: &weight_buffer,
            bias: &bias_buffer,
            y: &y,
            rows: gathers.then_some(&rows_buffer),
        };
        execute(context, |recorder| record(recorder, way, *self, bindings))?;
        let got = download_as(context, &y, rows * width, output).await?;
        let expected = layer_norm(&x, &weight, &bias, epsilon);
        // A lane sums an eighth of the row or less as vec4s, then four elements. Then the lanes are summed, in up to
        // six steps if there are more lanes. The tolerance counts these roundings.
        let tolerance = rounding(width.div_ceil(32) + 12) * condition(&x, width, epsilon) + storing(output);
        Ok(Difference::of_floats_near(&got, &expected, 1.0, tolerance))
    }
}

/// How much larger the numbers that lose bits, which are differences to a row's first element, are than the row's
/// deviation.
fn condition(x: &[f32], width: usize, epsilon: f32) -> f64 {
    let of_row = |row: &[f32]| {
        let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / width as f64;
        let variance = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / width as f64;
        1.0 + (mean - f64::from(row[0])).abs() / (variance + f64::from(epsilon)).sqrt()
    };
    x.chunks_exact(width).map(of_row).fold(1.0, f64::max)
}
