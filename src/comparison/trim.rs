//! Comparison of `head/trim.wgsl`. Numbers are copied, so there is no tolerance.

use super::data::unset;
use super::{Check, Difference, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::trim::{Bindings, KERNEL, Params, record};
use crate::random::Random;
use crate::reference::trim::trim;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "rows, columns",
    sizes: &[&[1, 1], &[8, 10], &[33, 1000], &[3, 64]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [rows, columns] = dimensions(size)?;
    let stride = columns.next_multiple_of(4);
    let padded = Random::named("trim", seed).tensor(rows * stride, 0.0, 1.0);
    let trimmed = unset(context, "rows", rows * columns)?;
    let params = Params { rows: rows as u32, columns: columns as u32, stride: stride as u32 };
    let bindings = Bindings { padded: &upload(context, "padded", &padded)?, rows: &trimmed };
    execute(context, |recorder| record(recorder, params, bindings))?;
    let got: Vec<f32> = download_async(context, &trimmed, rows * columns).await?;
    Ok(Difference::of_floats(&got, &trim(&padded, stride, columns), 0.0))
}
