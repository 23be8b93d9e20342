//! Check of `block/layer_norm.wgsl`, with the epsilons of timm, transformers and LV-ViT.

use super::data::{download_as, rounding, storing, unset};
use super::{Check, Difference, dimensions, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision, Variant};
use crate::kernels::layer_norm::{Bindings, Params, record};
use crate::random::Random;
use crate::reference::layer_norm::layer_norm;
use crate::reference::linear::gather;

pub(super) const CHECK: Check = Check {
    kernel: "layer_norm",
    dimensions: "rows, width",
    sizes: &[&[1, 4], &[9, 36], &[197, 192], &[33, 768]],
    compare: |context, size, seed| compare(context, Variant::Plain, size, seed),
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "layer_norm_subgroup",
    compare: |context, size, seed| compare(context, Variant::Subgroup, size, seed),
    ..CHECK
};

fn compare(context: &Context, variant: Variant, size: &[usize], seed: u64) -> Result<Difference> {
    let [rows, width] = dimensions(size)?;
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
    let gathered_x = gather(&x, width, &gathered);
    let mut worst = Difference::NONE;
    for (epsilon, output) in [1e-6, 1e-12, 1e-5].into_iter().flat_map(|e| Precision::ALL.map(|output| (e, output))) {
        for (x, own_rows) in [(&x, None), (&gathered_x, Some(&rows_buffer))] {
            let y = unset(context, "y", rows * width)?;
            let params = Params { rows: rows as u32, width4: (width / 4) as u32, epsilon };
            let bindings = Bindings { x: &x_buffer, weight: &weight_buffer, bias: &bias_buffer, y: &y, rows: own_rows };
            execute(context, |recorder| record(recorder, variant, output, params, bindings))?;
            let got = download_as(context, &y, rows * width, output)?;
            let twin = layer_norm(x, &weight, &bias, epsilon);
            // A lane adds an eighth of the row as vec4s, then four elements, then eight lanes: sums of so many roundings.
            let tolerance = rounding(width.div_ceil(32) + 12) * condition(x, width, epsilon) + storing(output);
            worst = worst.worse(Difference::of_floats_near(&got, &twin, 1.0, tolerance));
        }
    }
    Ok(worst)
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
