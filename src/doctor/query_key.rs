//! Check of `block/query_key.wgsl`: the logits of attention with and without sizes, and cosines of unit keys, where
//! queries and keys are the same elements.

use super::data::{ULP, rounding, stored, upload_as};
use super::{Check, Difference, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision, Types, Variant};
use crate::kernels::query_key::{Bindings, Params, Products, record};
use crate::random::Random;
use crate::reference::query_key::query_key;

pub(super) const CHECK: Check = Check {
    kernel: "query_key",
    dimensions: "images, tokens, heads, head",
    sizes: &[&[1, 1, 1, 4], &[2, 7, 3, 20], &[1, 65, 2, 64], &[1, 197, 3, 64]],
    compare: |context, size, seed| compare(context, Variant::Plain, size, seed),
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "query_key_subgroup",
    compare: |context, size, seed| compare(context, Variant::Subgroup, size, seed),
    ..CHECK
};

fn compare(context: &Context, variant: Variant, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, tokens, heads, head] = dimensions(size)?;
    let head = head.next_multiple_of(4);
    let mut random = Random::named("query_key", seed);
    let numbers = random.tensor(images * tokens * 3 * heads * head, 0.0, 1.0);
    let sizes: Vec<f32> = (0..images * tokens).map(|_| 1.0 + random.below(9) as f32).collect();
    let sizes_buffer = upload(context, "sizes", &sizes)?;
    let attention = Params {
        tokens: tokens as u32,
        heads: heads as u32,
        row4: (3 * heads * head / 4) as u32,
        key_offset4: (heads * head / 4) as u32,
        head4: (head / 4) as u32,
        stride: tokens.next_multiple_of(4) as u32,
        scale: 1.0 / (head as f32).sqrt(),
    };
    let cosine =
        Params { heads: 1, row4: (head / 4) as u32, key_offset4: 0, stride: tokens as u32, scale: 1.0, ..attention };
    let mut worst = Difference::NONE;
    let logits = [(attention, Products::Logits), (attention, Products::ProportionalLogits)];
    let cases = [(Precision::F32, logits[0]), (Precision::F16, logits[0]), (Precision::F32, logits[1])];
    for (precision, (params, products)) in cases.into_iter().chain([(Precision::F32, (cosine, Products::Cosines))]) {
        let proportional = products == Products::ProportionalLogits;
        let x = stored(numbers[..images * tokens * params.row4 as usize * 4].to_vec(), precision);
        let x_buffer = upload_as(context, "x", &x, precision)?;
        // What is past T stays as it was.
        let mut twin = random.tensor(images * params.heads as usize * tokens * params.stride as usize, 0.0, 1.0);
        let y = upload(context, "y", &twin)?;
        let bindings = Bindings { x: &x_buffer, sizes: &sizes_buffer, y: &y };
        let types = Types::new(precision, Precision::F32);
        execute(context, |recorder| record(recorder, variant, types, params, images as u32, products, bindings))?;
        let got: Vec<f32> = download(context, &y, twin.len())?;
        query_key(&x, proportional.then_some(&sizes), &params, &mut twin);
        // The usual size of a dot product of numbers between -1 and 1, which a single one may miss by far.
        let usual = (head as f64).sqrt() / 3.0 * f64::from(params.scale);
        // WGSL's logarithm is off by up to 3 units in the last place, of numbers below 4.
        let logarithm = if proportional { 3.0 * 2.0 * ULP / usual } else { 0.0 };
        worst = worst.worse(Difference::of_floats_near(&got, &twin, usual, rounding(head) + logarithm));
    }
    Ok(worst)
}
