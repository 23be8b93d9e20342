//! Comparison of `condense/dominance.wgsl`.

use super::data::{probabilities, rounding, unset};
use super::{Check, Difference, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::dominance::{Bindings, KERNEL, Params, record};
use crate::random::Random;
use crate::reference::dominance::dominance;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "images, patches, prefix, heads",
    sizes: &[&[1, 1, 1, 1], &[3, 7, 2, 3], &[2, 64, 5, 12], &[1, 196, 1, 3]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches, prefix, heads] = dimensions(size)?;
    let tokens = prefix + patches;
    let stride = tokens.next_multiple_of(4);
    let mut random = Random::named("dominance", seed);
    let probs = probabilities(&mut random, images * heads * tokens, tokens, stride);
    let result = unset(context, "dominance", images * patches)?;
    let params = Params { tokens: tokens as u32, prefix: prefix as u32, heads: heads as u32, stride: stride as u32 };
    let bindings = Bindings { probs: &upload(context, "probs", &probs)?, dominance: &result };
    execute(context, |recorder| record(recorder, params, images as u32, bindings))?;
    let got: Vec<f32> = download_async(context, &result, images * patches).await?;
    let expected = dominance(&probs, tokens, prefix, heads, stride);
    Ok(Difference::of_rows(&got, &expected, patches, rounding(heads)))
}
