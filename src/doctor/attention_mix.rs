//! Check of `block/attention_mix.wgsl`.

use super::data::{probabilities, rounding, unset};
use super::{Check, Difference, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::attention_mix::{Bindings, Params, record};
use crate::random::Random;
use crate::reference::attention_mix::attention_mix;

pub(super) const CHECK: Check = Check {
    kernel: "attention_mix",
    dimensions: "images, tokens, heads, head",
    sizes: &[&[1, 1, 1, 4], &[2, 9, 3, 20], &[1, 65, 2, 64], &[1, 197, 3, 64]],
    compare,
};

fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, tokens, heads, head] = dimensions(size)?;
    let head = head.next_multiple_of(4);
    let (row, stride) = (3 * heads * head, tokens.next_multiple_of(4));
    let mut random = Random::named("attention_mix", seed);
    let probs = probabilities(&mut random, images * heads * tokens, tokens, stride);
    let qkv = random.tensor(images * tokens * row, 0.0, 1.0);
    let elements = images * tokens * heads * head;
    let y = unset(context, "y", elements)?;
    let params = Params {
        tokens: tokens as u32,
        heads: heads as u32,
        stride4: (stride / 4) as u32,
        row4: (row / 4) as u32,
        value_offset4: (2 * heads * head / 4) as u32,
        head4: (head / 4) as u32,
    };
    let bindings = Bindings { probs: &upload(context, "probs", &probs)?, qkv: &upload(context, "qkv", &qkv)?, y: &y };
    execute(context, |recorder| record(recorder, params, images as u32, bindings))?;
    let got: Vec<f32> = download(context, &y, elements)?;
    // The usual size of an evenly weighted mean of numbers between -1 and 1, which a single one may miss by far.
    let usual = 1.0 / (3.0 * tokens as f64).sqrt();
    Ok(Difference::of_floats_near(&got, &attention_mix(&probs, &qkv, &params), usual, rounding(tokens)))
}
