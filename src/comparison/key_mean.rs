//! Comparison of `condense/key_mean.wgsl` and its ways, with some keys of length 0.

use super::data::{download_as, rounding, stored, storing, unset, upload_as};
use super::{Check, Difference, compare_ways, dimensions, execute};
use crate::error::Result;
use crate::gpu::{Context, Traits, Types, Way};
use crate::kernels::key_mean::{Bindings, Call, KERNEL, Params, SUBGROUP as OCTETS, record};
use crate::random::Random;
use crate::reference::key_mean::key_mean;
use crate::ways::Verified;

pub(super) const CHECKS: &[Check] = &[CHECK, SUBGROUP];

const CHECK: Check = Check {
    kernel: &KERNEL,
    dimensions: "images, patches, prefix, heads, head",
    sizes: &[&[1, 1, 1, 1, 4], &[3, 7, 2, 3, 20], &[2, 64, 5, 12, 64], &[1, 196, 1, 3, 64], &[2, 33, 1, 1, 384]],
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &KERNEL, &calls(size)?, seed).await }),
};

const SUBGROUP: Check = Check {
    kernel: &OCTETS,
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &OCTETS, &calls(size)?, seed).await }),
    ..CHECK
};

/// Calls of one size, from and to each precision.
fn calls(size: &[usize]) -> Result<Vec<Call>> {
    let params = params_of(dimensions(size)?);
    Ok(Types::ALL.into_iter().map(|types| Call { params, types }).collect())
}

/// Params for keys that lie between queries and values.
fn params_of([images, patches, prefix, heads, head]: [usize; 5]) -> Params {
    let [images, patches, prefix, heads, head4] = [images, patches, prefix, heads, head.div_ceil(4)].map(|n| n as u32);
    let width4 = heads * head4;
    Params { images, tokens: prefix + patches, prefix, heads, row4: 3 * width4, key_offset4: width4, head4 }
}

impl Verified for Call {
    /// Heads that fit in a thread's registers, and heads that do not.
    fn samples(&self, _traits: &Traits) -> Vec<Self> {
        [[1, 1, 1, 1, 4], [3, 7, 2, 3, 20], [2, 64, 5, 12, 64], [2, 33, 1, 1, 384]]
            .map(|size| Self { params: params_of(size), ..*self })
            .to_vec()
    }

    async fn compare(&self, context: &Context, way: &'static Way<Self>, seed: u64) -> Result<Difference> {
        let Self { params, types: Types { input, output, .. } } = *self;
        let [images, tokens, heads] = [params.images, params.tokens, params.heads].map(|n| n as usize);
        let [row, keys_at, head] = [params.row4, params.key_offset4, params.head4].map(|n| n as usize * 4);
        let mut random = Random::named("key_mean", seed);
        let mut numbers = random.tensor(images * tokens * row, 0.0, 1.0);
        for token in numbers.chunks_exact_mut(row) {
            if random.below(8) == 0 {
                token[keys_at..][..heads * head].fill(0.0);
            }
        }
        let patches = tokens - params.prefix as usize;
        let elements = images * patches * head;
        let qkv = stored(numbers, input);
        let keys = unset(context, "keys", elements)?;
        let bindings = Bindings { qkv: &upload_as(context, "qkv", &qkv, input)?, keys: &keys };
        execute(context, |recorder| record(recorder, way, *self, bindings))?;
        let got = download_as(context, &keys, elements, output).await?;
        let expected = key_mean(&qkv, &params);
        // The rounding error is relative to the usual length of a mean of `heads` keys of numbers between -1 and 1. A
        // single mean key may be shorter.
        let usual = (head as f64 / (3.0 * heads as f64)).sqrt();
        let shortest = lengths(&qkv, &params).filter(|&length| length > 0.0).fold(usual, f64::min);
        let tolerance = rounding(heads) * usual / shortest + rounding(head) + storing(output);
        Ok(Difference::of_floats(&got, &expected, tolerance))
    }
}

/// Lengths of the mean keys of the patch tokens.
fn lengths<'a>(qkv: &'a [f32], params: &Params) -> impl Iterator<Item = f64> + use<'a> {
    let Params { prefix, tokens, heads, row4, key_offset4, head4, .. } = *params;
    let (row, head) = (row4 as usize * 4, head4 as usize * 4);
    qkv.chunks_exact(row).enumerate().filter(move |(token, _)| token % tokens as usize >= prefix as usize).map(
        move |(_, token)| {
            let keys = &token[key_offset4 as usize * 4..][..heads as usize * head];
            let sums = (0..head).map(|d| keys.iter().skip(d).step_by(head).map(|&k| f64::from(k)).sum::<f64>());
            sums.map(|sum| (sum / f64::from(heads)).powi(2)).sum::<f64>().sqrt()
        },
    )
}
