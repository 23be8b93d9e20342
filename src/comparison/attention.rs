//! Comparison of `block/attention.wgsl` and its ways, with peaked logits, with and without sizes of tokens, in both
//! precisions.

use super::data::{ULP, UNIT, download_as, rounding, stored, storing, unset, upload_as};
use super::{Check, Difference, at_most, compare_ways, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision, Traits, Types, Way};
use crate::kernels::attention::{Bindings, Call, KERNEL, Params, WIDEST_HEAD, cooperative, record};
#[cfg(feature = "software")]
use crate::kernels::cpu;
use crate::random::Random;
use crate::reference::attention::attention;
use crate::ways::Verified;

pub(super) const CHECKS: &[Check] = &[
    CHECK,
    #[cfg(feature = "software")]
    SUBGROUP,
    COOPERATIVE,
];

const CHECK: Check = Check {
    kernel: &KERNEL,
    dimensions: "images, tokens, heads, head",
    sizes: &[&[1, 1, 1, 4], &[2, 9, 3, 20], &[1, 65, 2, 128], &[1, 197, 3, 64]],
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &KERNEL, &calls(size)?, seed).await }),
};

#[cfg(feature = "software")]
const SUBGROUP: Check = Check {
    kernel: &cpu::attention::KERNEL,
    compare: |context, size, seed| {
        Box::pin(async move { compare_ways(context, &cpu::attention::KERNEL, &calls(size)?, seed).await })
    },
    ..CHECK
};

/// The width of heads is rounded to whole cooperative matrices.
const COOPERATIVE: Check = Check {
    kernel: &cooperative::KERNEL,
    compare: |context, size, seed| {
        Box::pin(async move {
            let [images, tokens, heads, head] = dimensions(size)?;
            let params = params([images, tokens, heads, cooperative_head(context.traits(), head)]);
            let call = |proportional| Call { params, types: NARROW, proportional };
            compare_ways(context, &cooperative::KERNEL, &[call(false), call(true)], seed).await
        })
    },
    ..CHECK
};

const NARROW: Types = Types::new(Precision::F16, Precision::F16);

/// Calls of one size: in f32 without sizes of tokens, and in f16 with sizes.
fn calls(size: &[usize]) -> Result<Vec<Call>> {
    let [images, tokens, heads, head] = dimensions(size)?;
    let head = head.next_multiple_of(4);
    at_most("dimensions of a head", head, WIDEST_HEAD)?;
    let params = params([images, tokens, heads, head]);
    let call = |types, proportional| Call { params, types, proportional };
    Ok(vec![call(Types::default(), false), call(NARROW, true)])
}

/// Factor of the logits over dot products of numbers between -1 and 1 divided by sqrt(Dh). It makes some keys stand
/// out.
pub(super) const PEAK: f32 = 4.0;

/// The relative rounding error of a probability. It has three parts: the dot product in its exponent, which is about
/// PEAK / 3; a logarithm of at most 9 (3 units in the last place by WGSL, of numbers below 4); and exponentials of
/// numbers down to -8 (3 + 2 |x| units). Smaller exponentials do not matter.
pub(super) fn of_probabilities(head: usize) -> f64 {
    rounding(head) * f64::from(PEAK) / 3.0 + 6.0 * ULP + 19.0 * ULP
}

/// The error that cooperative matrices add to a sum of `terms` terms, because their adders may truncate (see
/// `linear.rs`).
pub(super) fn cut(terms: usize) -> f64 {
    3.0 * rounding(terms) + 8.0 * UNIT * (terms as f64 / 8.0)
}

/// The factor by which the last token's keys are longer in one comparison. Some logits then differ by more than 10, so
/// that f16 has no room for the range of their powers.
const LATE: f32 = 8.0;

/// Params for queries, keys and values side by side, from images, tokens, heads and dimensions of a head.
pub(super) fn params([images, tokens, heads, head]: [usize; 4]) -> Params {
    let width4 = (heads * head / 4) as u32;
    Params {
        tokens: tokens as u32,
        heads: heads as u32,
        images: images as u32,
        row4: 3 * width4,
        key_offset4: width4,
        value_offset4: 2 * width4,
        head4: (head / 4) as u32,
        scale: PEAK / (head as f32).sqrt(),
    }
}

/// Random queries, keys and values of `tokens` tokens, and random sizes of these tokens.
pub(super) fn inputs(random: &mut Random, tokens: usize, row4: u32) -> (Vec<f32>, Vec<f32>) {
    let sizes = (0..tokens).map(|_| 1.0 + random.below(9) as f32).collect();
    (random.tensor(tokens * row4 as usize * 4, 0.0, 1.0), sizes)
}

/// A width of heads near `head` that kernels with cooperative matrices take.
pub(super) fn cooperative_head(traits: &Traits, head: usize) -> usize {
    let side = traits.side() as usize;
    let wanted = head.next_multiple_of(side);
    let widest = (1..=8).rev().map(|matrices| matrices * side);
    widest.filter(|&head| head <= wanted).find(|&head| cooperative::takes(traits, head)).unwrap_or(side)
}

/// `qkv`, filled up with NaN to as many tokens as kernels with cooperative matrices load at once. The added tokens must
/// not affect any result.
fn enough(qkv: &[f32], row: usize) -> Vec<f32> {
    let mut enough = qkv.to_vec();
    enough.resize(qkv.len().max(cooperative::MOST_ROWS * row), f32::NAN);
    enough
}

/// Images, tokens and heads. They cover every number of subgroups with cooperative matrices of either shape, every
/// number of groups of eight queries in an octet, full and partly filled workgroups, and one and several workgroups.
/// Octets of two groups occur with one chunk of 32 keys and with several: 31 and 75 tokens.
const SIZES: [[usize; 3]; 13] = [
    [2, 1, 1],
    [2, 7, 3],
    [2, 9, 9],
    [1, 31, 2],
    [1, 50, 3],
    [1, 65, 2],
    [1, 75, 2],
    [1, 85, 2],
    [1, 100, 3],
    [1, 120, 2],
    [1, 130, 2],
    [1, 170, 1],
    [1, 197, 3],
];

impl Verified for Call {
    /// Heads are as wide as this call's, because pipelines are made for one width.
    fn samples(&self, _traits: &Traits) -> Vec<Self> {
        let head = self.params.head4 as usize * 4;
        SIZES.map(|[images, tokens, heads]| Self { params: params([images, tokens, heads, head]), ..*self }).to_vec()
    }

    async fn compare(&self, context: &Context, way: &'static Way<Self>, seed: u64) -> Result<Difference> {
        let usual = self.compare_with(context, way, seed, 1.0).await?;
        match is_cooperative(way) {
            false => Ok(usual),
            // Cooperative kernels take powers of differences to the first keys' logits, and compute them again if a
            // later logit is too large. The long keys at the end test this.
            true => Ok(usual.worse(self.compare_with(context, way, seed, LATE).await?)),
        }
    }
}

fn is_cooperative(way: &Way<Call>) -> bool {
    way.kernel.name == cooperative::KERNEL.name
}

impl Call {
    /// Compares `way` with the reference, with the last token's keys `late` times as long as the others.
    async fn compare_with(&self, context: &Context, way: &Way<Self>, seed: u64, late: f32) -> Result<Difference> {
        let Self { params, types, proportional } = *self;
        let [images, tokens, heads] = [params.images, params.tokens, params.heads].map(|n| n as usize);
        let [row, keys_at, head] = [params.row4, params.key_offset4, params.head4].map(|n| n as usize * 4);
        let (mut numbers, sizes) = inputs(&mut Random::named("attention", seed), images * tokens, params.row4);
        for token in numbers.chunks_exact_mut(row).skip(tokens - 1).step_by(tokens) {
            token[keys_at..][..heads * head].iter_mut().for_each(|key| *key *= late);
        }
        let sizes_buffer = upload(context, "sizes", &sizes)?;
        let (elements, row_count) = (images * tokens * heads * head, images * heads * tokens);
        let qkv = stored(numbers, types.input);
        let y = unset(context, "y", types.output.words(elements))?;
        let rows = unset(context, "rows", 2 * row_count)?;
        let qkv_buffer = upload_as(context, "qkv", &enough(&qkv, row), types.input)?;
        let bindings = Bindings { qkv: &qkv_buffer, sizes: &sizes_buffer, y: &y, rows: &rows };
        execute(context, |recorder| record(recorder, way, *self, bindings))?;
        let got = download_as(context, &y, elements, types.output).await?;
        let got_rows: Vec<f32> = download_async(context, &rows, 2 * row_count).await?;
        let (expected, expected_rows) = attention(&qkv, proportional.then_some(&sizes), &params);
        // The usual size of an evenly weighted mean of numbers between -1 and 1. A single mean may be far from it.
        let usual = 1.0 / (3.0 * tokens as f64).sqrt();
        // These errors occur only in cooperative kernels: powers are stored in f16 before they weigh values (and are
        // summed as they are stored), and cooperative matrices compute their exponents.
        let (of_powers, of_exponents) = match is_cooperative(way) {
            true => (storing(Precision::F16) + cut(tokens), f64::from(PEAK) * cut(head)),
            false => (0.0, 0.0),
        };
        // The dot products of long keys have proportionally larger errors.
        let of_probabilities = f64::from(late) * (of_probabilities(head) + of_exponents);
        let tolerance = rounding(tokens) + of_probabilities + of_powers;
        let mut worst = Difference::of_floats_near(&got, &expected, usual, tolerance + storing(types.output));
        let column = |at: usize| -> (Vec<f32>, Vec<f32>) {
            let expected = expected_rows.iter().map(|row| row[at]).collect();
            (got_rows.iter().skip(at).step_by(2).copied().collect(), expected)
        };
        let ((largest, expected_largest), (inverse, expected_inverse)) = (column(0), column(1));
        worst = worst.worse(Difference::of_floats_near(&largest, &expected_largest, 1.0, of_probabilities));
        worst = worst.worse(Difference::of_rows(&inverse, &expected_inverse, 1, tolerance));
        Ok(worst)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::gpu::Tile;

    /// GPUs with cooperative matrices of either shape. The subgroups have 32 threads, or 8 or 16 threads.
    pub(in super::super) fn gpus() -> [Traits; 3] {
        [(Tile::Sixteen, [32, 32]), (Tile::Eight, [32, 32]), (Tile::Eight, [8, 16])].map(|(tile, sizes)| {
            let mut info = wgpu::AdapterInfo::new(wgpu::DeviceType::DiscreteGpu, wgpu::Backend::Vulkan);
            [info.subgroup_min_size, info.subgroup_max_size] = sizes;
            let limits = wgpu::Limits { max_compute_workgroup_storage_size: 48 << 10, ..wgpu::Limits::default() };
            Traits::new(&info, wgpu::Features::all(), limits, Some(tile), false)
        })
    }

    /// Fails unless every way that takes `call` has a sample that runs exactly the pipeline of `call`.
    pub(in super::super) fn assert_sampled<O: Verified>(traits: &Traits, call: &O) {
        for way in O::ways().iter().filter(|way| (way.takes)(traits, call)) {
            let (key, all) = (way.key(traits, call), call.samples(traits));
            let alike = all.iter().any(|sample| (way.takes)(traits, sample) && way.key(traits, sample) == key);
            assert!(alike, "{key} has no sample");
        }
    }

    #[test]
    fn every_number_of_tokens_has_a_sample_of_its_pipeline() {
        for traits in gpus() {
            for tokens in 1..=600 {
                for head in [16, 64, 80, 128] {
                    let params = params([3, tokens, 6, head]);
                    let call = Call { params, types: NARROW, proportional: true };
                    assert_sampled(&traits, &call);
                }
            }
        }
    }
}
