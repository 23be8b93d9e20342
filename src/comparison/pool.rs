//! Comparison of `head/pool.wgsl`: the weighted mean of the patch tokens, the first token, all prefix tokens, and the
//! first token together with the mean.

use super::data::{rounding, unset};
use super::{Check, Difference, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::pool::{Bindings, KERNEL, Params, record};
use crate::random::Random;
use crate::reference::pool::pool;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "images, patches, prefix, width",
    sizes: &[&[1, 1, 1, 4], &[3, 7, 2, 20], &[2, 196, 1, 192], &[1, 64, 5, 768]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches, prefix, width] = dimensions(size)?;
    let (tokens, width) = (prefix + patches, width.next_multiple_of(4));
    let mut random = Random::named("pool", seed);
    let x = random.tensor(images * tokens * width, 0.0, 1.0);
    let sizes: Vec<f32> = (0..images * tokens).map(|_| 1.0 + random.below(9) as f32).collect();
    let (x_buffer, sizes_buffer) = (upload(context, "x", &x)?, upload(context, "sizes", &sizes)?);
    let mut worst = Difference::NONE;
    for (first, mean) in [(0, true), (1, false), (prefix, false), (1, true)] {
        let elements = images * (first + usize::from(mean)) * width;
        let pooled = unset(context, "pooled", elements)?;
        let params = Params {
            tokens: tokens as u32,
            prefix: prefix as u32,
            width4: (width / 4) as u32,
            first: first as u32,
            mean: mean.into(),
        };
        let bindings = Bindings { x: &x_buffer, sizes: &sizes_buffer, pooled: &pooled };
        execute(context, |recorder| record(recorder, params, images as u32, bindings))?;
        let got: Vec<f32> = download_async(context, &pooled, elements).await?;
        let expected = pool(&x, &sizes, tokens, prefix, first, mean);
        // The usual size of a mean of numbers between -1 and 1.
        let usual = 1.0 / (3.0 * patches as f64).sqrt();
        let tolerance = if mean { rounding(patches) } else { 0.0 };
        worst = worst.worse(Difference::of_floats_near(&got, &expected, usual, tolerance));
    }
    Ok(worst)
}
