//! Comparison of `block/query_key.wgsl` and its ways: the logits of attention with and without sizes of tokens, and
//! cosines of unit keys, for which queries and keys are the same elements.

use super::data::{ULP, UNIT, rounding, stored, upload_as};
use super::{Check, Difference, compare_ways, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision, Traits, Types, Way};
use crate::kernels::query_key::{Bindings, Call, KERNEL, Params, Products, SUBGROUP as OCTETS, cooperative, record};
use crate::random::Random;
use crate::reference::query_key::query_key;
use crate::ways::Verified;

pub(super) const CHECKS: &[Check] = &[CHECK, SUBGROUP, COOPERATIVE];

const CHECK: Check = Check {
    kernel: &KERNEL,
    dimensions: "images, tokens, heads, head",
    sizes: &[&[1, 1, 1, 4], &[2, 7, 3, 20], &[1, 65, 2, 64], &[1, 197, 3, 64]],
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &KERNEL, &calls(size)?, seed).await }),
};

const SUBGROUP: Check = Check {
    kernel: &OCTETS,
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &OCTETS, &calls(size)?, seed).await }),
    ..CHECK
};

/// Rows are padded to whole slabs.
const COOPERATIVE: Check = Check {
    kernel: &cooperative::KERNEL,
    compare: |context, size, seed| {
        Box::pin(async move {
            let [images, tokens, _, head] = dimensions(size)?;
            let inner = head.next_multiple_of(2 * context.traits().side() as usize);
            let call = cosines([images, tokens, inner], Precision::F16);
            compare_ways(context, &cooperative::KERNEL, &[call], seed).await
        })
    },
    ..CHECK
};

/// Calls of one size: every product of rows in f32, and the logits of rows in f16.
fn calls(size: &[usize]) -> Result<Vec<Call>> {
    let [images, tokens, heads, head] = dimensions(size)?;
    let head = head.next_multiple_of(4);
    let params = logits([images, tokens, heads, head]);
    let call = |input, products| Call { params, types: Types::new(input, Precision::F32), products };
    Ok(vec![
        call(Precision::F32, Products::Logits),
        call(Precision::F16, Products::Logits),
        call(Precision::F32, Products::ProportionalLogits),
        cosines([images, tokens, head], Precision::F32),
    ])
}

/// Params for queries, keys and values side by side, from images, tokens, heads and dimensions of a head.
fn logits([images, tokens, heads, head]: [usize; 4]) -> Params {
    Params {
        tokens: tokens as u32,
        heads: heads as u32,
        images: images as u32,
        row4: (3 * heads * head / 4) as u32,
        key_offset4: (heads * head / 4) as u32,
        head4: (head / 4) as u32,
        stride: tokens.next_multiple_of(4) as u32,
        scale: 1.0 / (head as f32).sqrt(),
    }
}

/// A call for cosines, from images, tokens and dimensions of a row.
fn cosines([images, tokens, inner]: [usize; 3], input: Precision) -> Call {
    Call::cosines([images, tokens, inner / 4].map(|n| n as u32), input)
}

impl Verified for Call {
    /// Sizes for every number of groups of eight queries in an octet, full or partly filled, and around the squares
    /// that cooperative matrices compute together. Rows are as long as this call's.
    fn samples(&self, _traits: &Traits) -> Vec<Self> {
        let (head, types) = (self.params.head4 as usize * 4, self.types);
        let sample = |[images, tokens, heads]: [usize; 3]| match self.products {
            Products::Cosines => cosines([images, tokens, head], types.input),
            _ => Self { params: logits([images, tokens, heads, head]), ..*self },
        };
        [[2, 1, 1], [2, 7, 3], [2, 9, 9], [1, 31, 2], [1, 65, 2], [1, 197, 3]].map(sample).to_vec()
    }

    async fn compare(&self, context: &Context, way: &'static Way<Self>, seed: u64) -> Result<Difference> {
        let Self { params, types, products } = *self;
        let [images, tokens, heads] = [params.images, params.tokens, params.heads].map(|n| n as usize);
        let [row, head] = [params.row4, params.head4].map(|n| n as usize * 4);
        let mut random = Random::named("query_key", seed);
        let x = stored(random.tensor(images * tokens * row, 0.0, 1.0), types.input);
        let sizes: Vec<f32> = (0..images * tokens).map(|_| 1.0 + random.below(9) as f32).collect();
        let sizes_buffer = upload(context, "sizes", &sizes)?;
        let x_buffer = upload_as(context, "x", &x, types.input)?;
        // The kernel must not change elements past T.
        let mut expected = random.tensor(images * heads * tokens * params.stride as usize, 0.0, 1.0);
        let y = upload(context, "y", &expected)?;
        let bindings = Bindings { x: &x_buffer, sizes: &sizes_buffer, y: &y };
        execute(context, |recorder| record(recorder, way, *self, bindings))?;
        let got: Vec<f32> = download_async(context, &y, expected.len()).await?;
        let proportional = products == Products::ProportionalLogits;
        query_key(&x, proportional.then_some(&sizes), &params, &mut expected);
        // The usual size of a dot product of numbers between -1 and 1. A single one may be far from it.
        let usual = (head as f64).sqrt() / 3.0 * f64::from(params.scale);
        // WGSL's logarithm may be off by 3 units in the last place, for numbers below 4.
        let logarithm = if proportional { 3.0 * 2.0 * ULP / usual } else { 0.0 };
        let sum = match way.kernel.name == cooperative::KERNEL.name {
            // The adders of cooperative matrices may truncate, as in dense layers.
            true => 4.0 * (rounding(head) + 2.0 * UNIT * (head as f64 / 8.0)),
            false => rounding(head),
        };
        Ok(Difference::of_floats_near(&got, &expected, usual, sum + logarithm))
    }
}

#[cfg(test)]
mod tests {
    use super::super::attention::tests::{assert_sampled, gpus};
    use super::*;

    #[test]
    fn every_number_of_tokens_has_a_sample_of_its_pipeline() {
        for traits in gpus() {
            for tokens in 1..=600 {
                calls(&[3, tokens, 6, 64]).unwrap().iter().for_each(|call| assert_sampled(&traits, call));
                assert_sampled(&traits, &cosines([3, tokens, 64], Precision::F16));
            }
        }
    }
}
