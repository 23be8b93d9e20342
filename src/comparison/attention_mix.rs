//! Comparison of `block/attention_mix.wgsl`, in both precisions.

use super::data::{download_as, probabilities, rounding, stored, storing, unset, upload_as};
use super::{Check, Difference, dimensions, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision, Types};
use crate::kernels::attention_mix::{Bindings, KERNEL, Params, record};
use crate::random::Random;
use crate::reference::attention_mix::attention_mix;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "images, tokens, heads, head",
    sizes: &[&[1, 1, 1, 4], &[2, 9, 3, 20], &[1, 65, 2, 64], &[1, 197, 3, 64]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, tokens, heads, head] = dimensions(size)?;
    let head = head.next_multiple_of(4);
    let (row, stride) = (3 * heads * head, tokens.next_multiple_of(4));
    let mut random = Random::named("attention_mix", seed);
    let probs = probabilities(&mut random, images * heads * tokens, tokens, stride);
    let numbers = random.tensor(images * tokens * row, 0.0, 1.0);
    let probs_buffer = upload(context, "probs", &probs)?;
    let elements = images * tokens * heads * head;
    let params = Params {
        tokens: tokens as u32,
        heads: heads as u32,
        stride4: (stride / 4) as u32,
        row4: (row / 4) as u32,
        value_offset4: (2 * heads * head / 4) as u32,
        head4: (head / 4) as u32,
    };
    let mut worst = Difference::NONE;
    for types in [Types::default(), Types::new(Precision::F16, Precision::F16)] {
        let qkv = stored(numbers.clone(), types.input);
        let y = unset(context, "y", types.output.words(elements))?;
        let bindings = Bindings { probs: &probs_buffer, qkv: &upload_as(context, "qkv", &qkv, types.input)?, y: &y };
        execute(context, |recorder| record(recorder, types, params, images as u32, bindings))?;
        let got = download_as(context, &y, elements, types.output).await?;
        // The usual size of an evenly weighted mean of numbers between -1 and 1. A single mean may be far from it.
        let usual = 1.0 / (3.0 * tokens as f64).sqrt();
        let tolerance = rounding(tokens) + storing(types.output);
        let expected = attention_mix(&probs, &qkv, &params);
        worst = worst.worse(Difference::of_floats_near(&got, &expected, usual, tolerance));
    }
    Ok(worst)
}
