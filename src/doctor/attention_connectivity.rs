//! Check of `condense/attention_connectivity.wgsl`.

use super::data::{probabilities, rounding, unset};
use super::{Check, Difference, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::attention_connectivity::{Bindings, Params, record};
use crate::random::Random;
use crate::reference::attention_connectivity::attention_connectivity;

pub(super) const CHECK: Check = Check {
    kernel: "attention_connectivity",
    dimensions: "images, patches, prefix, heads",
    sizes: &[&[1, 1, 1, 1], &[3, 7, 2, 3], &[1, 64, 5, 12], &[1, 196, 1, 3]],
    compare,
};

fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches, prefix, heads] = dimensions(size)?;
    let tokens = prefix + patches;
    let stride = tokens.next_multiple_of(4);
    let mut random = Random::named("attention_connectivity", seed);
    let probs = probabilities(&mut random, images * heads * tokens, tokens, stride);
    let elements = images * patches * patches;
    let w = unset(context, "w", elements)?;
    let params = Params {
        images: images as u32,
        tokens: tokens as u32,
        prefix: prefix as u32,
        heads: heads as u32,
        stride: stride as u32,
    };
    let bindings = Bindings { probs: &upload(context, "probs", &probs)?, w: &w };
    execute(context, |recorder| record(recorder, params, bindings))?;
    let got: Vec<f32> = download(context, &w, elements)?;
    let twin = attention_connectivity(&probs, tokens, prefix, heads, stride);
    Ok(Difference::of_rows(&got, &twin, patches, rounding(heads)))
}
