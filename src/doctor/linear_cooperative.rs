//! Check of `block/linear_cooperative.wgsl`: every shape of workgroup, every epilogue, f32 and f16 results.

use half::f16;

use super::data::{UNIT, rounding};
use super::linear::ERF;
use super::{Check, Difference, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision};
use crate::kernels::linear::{Bindings, Epilogue, Params};
use crate::kernels::linear_cooperative::{Shape, record};
use crate::random::Random;
use crate::reference::linear::linear;

pub(super) const CHECK: Check = Check {
    kernel: "linear_cooperative",
    dimensions: "rows, inner, columns",
    sizes: &[&[1, 4, 1], &[7, 64, 10], &[197, 192, 576], &[65, 768, 192]],
    compare,
};

fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [rows, inner, columns] = dimensions(size)?;
    let inner = inner.next_multiple_of(4);
    let stride = columns.next_multiple_of(4);
    let mut random = Random::named("linear_cooperative", seed);
    let (x, x_halves) = halves(random.tensor(rows * inner, 0.0, 1.0));
    let (mut w, _) = halves(random.tensor(inner * stride, 0.0, (3.0 / inner as f64).sqrt()));
    w.chunks_exact_mut(stride).for_each(|row| row[columns..].fill(0.0));
    let (w, w_halves) = halves(w);
    let bias = random.tensor(stride, 0.0, 1.0);
    let (before, before_halves) = halves(random.tensor(rows * columns, 0.0, 1.0));
    let (x_buffer, w_buffer) = (upload(context, "x", &x_halves)?, upload(context, "w", &w_halves)?);
    let bias_buffer = upload(context, "bias", &bias)?;
    let mut worst = Difference::NONE;
    for epilogue in [Epilogue::Store, Epilogue::Gelu, Epilogue::Accumulate] {
        let mut twin = before.clone();
        linear(&x, &w, &bias, inner, columns, epilogue, &mut twin);
        let twin: Vec<f64> = twin.into_iter().map(f64::from).collect();
        for (shape, output) in Shape::ALL.into_iter().flat_map(|shape| Precision::ALL.map(|output| (shape, output))) {
            let y = match output {
                Precision::F32 => upload(context, "y", &before)?,
                Precision::F16 => upload(context, "y", &before_halves)?,
            };
            let bindings = Bindings { x: &x_buffer, w: &w_buffer, bias: &bias_buffer, y: &y };
            let params = Params::new(rows, inner, columns);
            execute(context, |recorder| record(recorder, params, epilogue, output, shape, bindings))?;
            let got: Vec<f32> = match output {
                Precision::F32 => download(context, &y, rows * columns)?,
                Precision::F16 => {
                    let halves: Vec<f16> = download(context, &y, before_halves.len())?;
                    halves.into_iter().take(rows * columns).map(f32::from).collect()
                }
            };
            let bound: Vec<f64> = twin.iter().map(|value| sum(inner, epilogue) + stored(output, *value)).collect();
            worst = worst.worse(Difference::of_bounded(&got, &twin, &bound));
        }
    }
    Ok(worst)
}

/// What rounding makes of a sum of `inner` products that is 4 at most, and of what comes after it. Adders of matrices may
/// cut instead of rounding, once every 8 products or more seldom: such errors all go one way.
fn sum(inner: usize, epilogue: Epilogue) -> f64 {
    let cut = 2.0 * UNIT * (inner as f64 / 8.0);
    4.0 * (rounding(inner) + cut) + if epilogue == Epilogue::Gelu { 4.0 * ERF } else { 0.0 }
}

/// What storing a number costs: of f16 half a unit in the last place of 11 bits, or of the smallest numbers that it has.
fn stored(output: Precision, value: f64) -> f64 {
    match output {
        Precision::F32 => 0.0,
        Precision::F16 => (value.abs() * (0.5f64).powi(11)).max((0.5f64).powi(25)) * 1.001,
    }
}

/// The nearest f16 of each number, as f32 and as they are stored.
fn halves(values: Vec<f32>) -> (Vec<f32>, Vec<f16>) {
    let mut halves: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
    let floats = halves.iter().copied().map(f32::from).collect();
    // Uploads are of whole words.
    halves.resize(halves.len().next_multiple_of(2), f16::ZERO);
    (floats, halves)
}
