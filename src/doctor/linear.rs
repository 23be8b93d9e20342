//! Check of `block/linear.wgsl`, with each of its epilogues.

use super::data::{UNIT, rounding};
use super::{Check, Difference, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::linear::{Bindings, Epilogue, Params, record};
use crate::random::Random;
use crate::reference::linear::linear;

pub(super) const CHECK: Check = Check {
    kernel: "linear",
    dimensions: "rows, inner, columns",
    sizes: &[&[1, 4, 1], &[7, 64, 10], &[197, 192, 576], &[65, 768, 192]],
    compare,
};

/// Half the error that `shared/gelu.wgsl` states for its erf, and the rounding of its polynomial and exponential.
pub(super) const ERF: f64 = 0.75e-7 + 4.0 * UNIT;

fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [rows, inner, columns] = dimensions(size)?;
    let inner = inner.next_multiple_of(4);
    let stride = columns.next_multiple_of(4);
    let mut random = Random::named("linear", seed);
    let x = random.tensor(rows * inner, 0.0, 1.0);
    let w = random.tensor(inner * stride, 0.0, (3.0 / inner as f64).sqrt());
    let bias = random.tensor(stride, 0.0, 1.0);
    let before = random.tensor(rows * columns, 0.0, 1.0);
    let (x_buffer, w_buffer) = (upload(context, "x", &x)?, upload(context, "w", &w)?);
    let bias_buffer = upload(context, "bias", &bias)?;
    let mut worst = Difference::NONE;
    for epilogue in [Epilogue::Store, Epilogue::Gelu, Epilogue::Accumulate] {
        let y_buffer = upload(context, "y", &before)?;
        let bindings = Bindings { x: &x_buffer, w: &w_buffer, bias: &bias_buffer, y: &y_buffer };
        execute(context, |recorder| record(recorder, Params::new(rows, inner, columns), epilogue, bindings))?;
        let mut twin = before.clone();
        linear(&x, &w, &bias, inner, columns, epilogue, &mut twin);
        let got: Vec<f32> = download(context, &y_buffer, rows * columns)?;
        // A weighted sum is about 1 here, though a single one may be far smaller. The erf of GELU adds its own error.
        let tolerance = rounding(inner) + if epilogue == Epilogue::Gelu { ERF } else { 0.0 };
        worst = worst.worse(Difference::of_floats_near(&got, &twin, 1.0, tolerance));
    }
    Ok(worst)
}
