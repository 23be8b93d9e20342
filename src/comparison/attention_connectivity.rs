//! Comparison of `condense/attention_connectivity.wgsl`: W, the sums of its columns, and dominance.

use super::data::{probabilities, rounding, unset};
use super::{Check, Difference, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::attention_connectivity::{Bindings, KERNEL, Params, STRIP, record, strips};
use crate::random::Random;
use crate::reference::attention_connectivity::{attention_connectivity, column_sums};
use crate::reference::dominance::dominance;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "images, patches, prefix, heads",
    sizes: &[&[1, 1, 1, 1], &[3, 7, 2, 3], &[1, 64, 5, 12], &[1, 196, 1, 3]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches, prefix, heads] = dimensions(size)?;
    let tokens = prefix + patches;
    let stride = tokens.next_multiple_of(4);
    let mut random = Random::named("attention_connectivity", seed);
    let probs = probabilities(&mut random, images * heads * tokens, tokens, stride);
    let elements = images * patches * patches;
    let (sums_len, listed) = (images * strips(patches) * patches, images * patches);
    let w = unset(context, "w", elements)?;
    let (sums, made_dominance) = (unset(context, "sums", sums_len)?, unset(context, "dominance", listed)?);
    let params =
        Params { tokens: tokens as u32, prefix: prefix as u32, heads: heads as u32, stride4: (stride / 4) as u32 };
    let probs_buffer = upload(context, "probs", &probs)?;
    let bindings = Bindings { probs: &probs_buffer, w: &w, column_sums: &sums, dominance: &made_dominance };
    execute(context, |recorder| record(recorder, params, images as u32, bindings))?;
    let got: Vec<f32> = download_async(context, &w, elements).await?;
    let expected = attention_connectivity(&probs, tokens, prefix, heads, stride);
    let mut worst = Difference::of_rows(&got, &expected, patches, rounding(heads));
    let got: Vec<f32> = download_async(context, &sums, sums_len).await?;
    worst = worst.worse(Difference::of_floats(&got, &column_sums(&expected, patches, STRIP), rounding(heads * STRIP)));
    let got: Vec<f32> = download_async(context, &made_dominance, listed).await?;
    let expected = dominance(&probs, tokens, prefix, heads, stride);
    Ok(worst.worse(Difference::of_floats(&got, &expected, rounding(heads))))
}
