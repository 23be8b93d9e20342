//! Check of `block/attention.wgsl`, with logits that are peaked, with and without sizes, in both precisions.

use super::data::{ULP, download_as, rounding, stored, storing, unset, upload_as};
use super::{Check, Difference, at_most, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision, Types, Variant};
use crate::kernels::attention::{Bindings, Params, WIDEST_HEAD, record};
use crate::random::Random;
use crate::reference::attention::attention;

pub(super) const CHECK: Check = Check {
    kernel: "attention",
    dimensions: "images, tokens, heads, head",
    sizes: &[&[1, 1, 1, 4], &[2, 9, 3, 20], &[1, 65, 2, 128], &[1, 197, 3, 64]],
    compare: |context, size, seed| compare(context, Variant::Plain, size, seed),
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "attention_subgroup",
    compare: |context, size, seed| compare(context, Variant::Subgroup, size, seed),
    ..CHECK
};

/// Of logits, relative to the dot products of numbers between -1 and 1: what makes one key stand out.
const PEAK: f32 = 4.0;

/// What rounding makes of a probability: of the dot product that is its exponent, which is about PEAK / 3, of a
/// logarithm of at most 9 (3 units in the last place by WGSL, of numbers below 4), and of exponentials of numbers down to
/// -8, below which they count for nothing (3 + 2 |x| units).
pub(super) fn of_probabilities(head: usize) -> f64 {
    rounding(head) * f64::from(PEAK) / 3.0 + 6.0 * ULP + 19.0 * ULP
}

/// Attention of random queries, keys and values, and sizes [B, T].
pub(super) fn case(random: &mut Random, [images, tokens, heads, head]: [usize; 4]) -> (Params, Vec<f32>, Vec<f32>) {
    let width4 = (heads * head / 4) as u32;
    let params = Params {
        tokens: tokens as u32,
        heads: heads as u32,
        images: images as u32,
        row4: 3 * width4,
        key_offset4: width4,
        value_offset4: 2 * width4,
        head4: (head / 4) as u32,
        scale: PEAK / (head as f32).sqrt(),
    };
    let sizes = (0..images * tokens).map(|_| 1.0 + random.below(9) as f32).collect();
    (params, random.tensor(images * tokens * 3 * heads * head, 0.0, 1.0), sizes)
}

fn compare(context: &Context, variant: Variant, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, tokens, heads, head] = dimensions(size)?;
    let head = head.next_multiple_of(4);
    at_most("dimensions of a head", head, WIDEST_HEAD)?;
    let mut random = Random::named("attention", seed);
    let (params, numbers, sizes) = case(&mut random, [images, tokens, heads, head]);
    let sizes_buffer = upload(context, "sizes", &sizes)?;
    let (elements, row_count) = (images * tokens * heads * head, images * heads * tokens);
    let mut worst = Difference::NONE;
    let narrow = Types::new(Precision::F16, Precision::F16);
    for (types, proportional) in [(Types::default(), false), (narrow, true)] {
        let qkv = stored(numbers.clone(), types.input);
        let y = unset(context, "y", types.output.words(elements))?;
        let rows = unset(context, "rows", 2 * row_count)?;
        let qkv_buffer = upload_as(context, "qkv", &qkv, types.input)?;
        let bindings = Bindings { qkv: &qkv_buffer, sizes: &sizes_buffer, y: &y, rows: &rows };
        execute(context, |recorder| record(recorder, variant, types, params, proportional, bindings))?;
        let got = download_as(context, &y, elements, types.output)?;
        let got_rows: Vec<f32> = download(context, &rows, 2 * row_count)?;
        let (twin, twin_rows) = attention(&qkv, proportional.then_some(&sizes), &params);
        // The usual size of an evenly weighted mean of numbers between -1 and 1, which a single one may miss by far.
        let usual = 1.0 / (3.0 * tokens as f64).sqrt();
        let tolerance = rounding(tokens) + of_probabilities(head);
        worst = worst.worse(Difference::of_floats_near(&got, &twin, usual, tolerance + storing(types.output)));
        let column = |at: usize| -> (Vec<f32>, Vec<f32>) {
            (got_rows.iter().skip(at).step_by(2).copied().collect(), twin_rows.iter().map(|row| row[at]).collect())
        };
        let ((largest, largest_twin), (inverse, inverse_twin)) = (column(0), column(1));
        worst = worst.worse(Difference::of_floats_near(&largest, &largest_twin, 1.0, of_probabilities(head)));
        worst = worst.worse(Difference::of_rows(&inverse, &inverse_twin, 1, tolerance));
    }
    Ok(worst)
}
