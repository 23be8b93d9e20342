//! Comparison of `block/attention_mean.wgsl` and its ways: W and dominance, with and without sizes of tokens, in both
//! precisions.

use super::attention::{PEAK, cooperative_head, cut, inputs, of_probabilities, params as attention_params};
use super::data::{laid_out, rounding, stored, unset, upload_as};
use super::{Check, Difference, compare_ways, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision, Traits, Types, Way};
use crate::kernels::attention::Params as AttentionParams;
use crate::kernels::attention_mean::{Bindings, Call, KERNEL, Params, ROW as OF_ONE, cooperative, record};
#[cfg(feature = "software")]
use crate::kernels::cpu;
use crate::kernels::layout::Layout;
use crate::random::Random;
use crate::reference::attention::attention;
use crate::reference::attention_mean::attention_mean;
use crate::ways::Verified;

pub(super) const CHECKS: &[Check] = &[
    CHECK,
    ROW,
    #[cfg(feature = "software")]
    SUBGROUP,
    COOPERATIVE,
];

const CHECK: Check = Check {
    kernel: &KERNEL,
    dimensions: "images, patches, prefix, heads, head",
    sizes: &[&[1, 1, 1, 1, 4], &[2, 9, 2, 3, 20], &[2, 64, 5, 2, 64], &[1, 196, 1, 3, 64]],
    compare: |context, size, seed| {
        Box::pin(async move { compare_ways(context, &KERNEL, &calls(size, Made::Connectivity)?, seed).await })
    },
};

/// The kernel for a single query.
const ROW: Check = Check {
    kernel: &OF_ONE,
    // In the second size, there are more heads than threads that share a key.
    sizes: &[&[1, 1, 1, 1, 4], &[2, 9, 2, 12, 20], &[2, 64, 5, 2, 64], &[1, 196, 1, 3, 64]],
    compare: |context, size, seed| {
        Box::pin(async move { compare_ways(context, &OF_ONE, &calls(size, Made::Dominance)?, seed).await })
    },
    ..CHECK
};

#[cfg(feature = "software")]
const SUBGROUP: Check = Check {
    kernel: &cpu::attention_mean::KERNEL,
    compare: |context, size, seed| {
        Box::pin(async move {
            compare_ways(context, &cpu::attention_mean::KERNEL, &calls(size, Made::Connectivity)?, seed).await
        })
    },
    ..CHECK
};

/// The width of heads is rounded to whole cooperative matrices.
const COOPERATIVE: Check = Check {
    kernel: &cooperative::KERNEL,
    compare: |context, size, seed| {
        Box::pin(async move {
            let calls = cooperative_calls(context.traits(), dimensions(size)?);
            compare_ways(context, &cooperative::KERNEL, &calls, seed).await
        })
    },
    ..CHECK
};

/// The result that the means give.
#[derive(Clone, Copy)]
enum Made {
    /// W: the means for every patch token's query.
    Connectivity,
    /// Dominance: the means for the first token's query.
    Dominance,
}

impl Made {
    /// Params for queries and keys as attention has them, from images, patches, prefix, heads and dimensions of a head.
    fn params(self, [images, patches, prefix, heads, head]: [usize; 5]) -> Params {
        let whole = attention_params([images, prefix + patches, heads, head]);
        let (query, queries) = match self {
            Self::Connectivity => (prefix, patches),
            Self::Dominance => (0, 1),
        };
        Params {
            tokens: whole.tokens,
            prefix: prefix as u32,
            heads: whole.heads,
            images: whole.images,
            query: query as u32,
            queries: queries as u32,
            row4: whole.row4,
            key_offset4: whole.key_offset4,
            head4: whole.head4,
            scale: whole.scale,
        }
    }
}

/// Calls of one size: in f32 without sizes of tokens, and in f16 with sizes.
fn calls(size: &[usize], made: Made) -> Result<Vec<Call>> {
    let [images, patches, prefix, heads, head] = dimensions(size)?;
    let params = made.params([images, patches, prefix, heads, head.next_multiple_of(4)]);
    let call = |input, proportional| Call { params, types: Types::new(input, Precision::F32), proportional };
    Ok(vec![call(Precision::F32, false), call(Precision::F16, true)])
}

/// Images, patch tokens and heads. They cover every number of groups of eight queries in an octet, full or partly
/// filled.
const SIZES: [[usize; 3]; 6] = [[2, 1, 1], [2, 7, 3], [2, 9, 9], [1, 31, 2], [1, 65, 2], [1, 197, 3]];

impl Verified for Call {
    fn samples(&self, _traits: &Traits) -> Vec<Self> {
        let made = if self.params.queries == 1 { Made::Dominance } else { Made::Connectivity };
        let [prefix, head] = [self.params.prefix, self.params.head4 * 4].map(|n| n as usize);
        let params = |[images, patches, heads]: [usize; 3]| made.params([images, patches, prefix, heads, head]);
        SIZES.map(|size| Self { params: params(size), ..*self }).to_vec()
    }

    async fn compare(&self, context: &Context, way: &'static Way<Self>, seed: u64) -> Result<Difference> {
        let Self { params, types, proportional } = *self;
        let [images, tokens, heads, head] =
            [params.images, params.tokens, params.heads, params.head4 * 4].map(|n| n as usize);
        let patches = tokens - params.prefix as usize;
        let elements = images * params.queries as usize * patches;
        let (numbers, sizes) = inputs(&mut Random::named("attention_mean", seed), images * tokens, params.row4);
        let qkv = stored(numbers, types.input);
        let known = proportional.then_some(&sizes[..]);
        let y = unset(context, "y", elements)?;
        let bindings = Bindings {
            qkv: &upload_as(context, "qkv", &qkv, types.input)?,
            sizes: &upload(context, "sizes", &sizes)?,
            rows: &upload(context, "rows", &attention(&qkv, known, &whole_of(&params)).1)?,
            y: &y,
        };
        execute(context, |recorder| record(recorder, way, *self, bindings))?;
        let got: Vec<f32> = download_async(context, &y, elements).await?;
        let expected = attention_mean(&qkv, known, &params);
        Ok(Difference::of_rows(&got, &expected, patches, rounding(heads) + of_probabilities(head)))
    }
}

/// The attention of the same queries and keys. Its values do not matter.
fn whole_of(params: &Params) -> AttentionParams {
    AttentionParams {
        tokens: params.tokens,
        heads: params.heads,
        images: params.images,
        row4: params.row4,
        key_offset4: params.key_offset4,
        value_offset4: params.key_offset4,
        head4: params.head4,
        scale: params.scale,
    }
}

/// Calls of one size with and without sizes of tokens, for both layouts of W.
fn cooperative_calls(traits: &Traits, [images, patches, prefix, heads, head]: [usize; 5]) -> Vec<cooperative::Call> {
    let size = [images, patches, prefix, heads, cooperative_head(traits, head)];
    let types = Types::new(Precision::F16, Precision::F32);
    let call = |proportional, layout| {
        let params = cooperative_params(traits, size, layout);
        cooperative::Call { params, types, proportional }
    };
    let layouts = [Layout::packed(patches), Layout::padded(prefix, patches)];
    [false, true].into_iter().flat_map(|proportional| layouts.map(|layout| call(proportional, layout))).collect()
}

fn cooperative_params(
    traits: &Traits,
    [images, patches, prefix, heads, head]: [usize; 5],
    layout: Layout,
) -> cooperative::Params {
    let whole = attention_params([images, prefix + patches, heads, head]);
    cooperative::Params {
        tokens: whole.tokens,
        prefix: prefix as u32,
        heads: whole.heads,
        images: whole.images,
        row4: whole.row4,
        key_offset4: whole.key_offset4,
        head4: whole.head4,
        scale: whole.scale,
        first: prefix as u32 - layout.shift,
        stride: layout.stride,
        strips: cooperative::strips(traits, prefix + patches) as u32,
    }
}

/// Images, tokens and heads. They cover every number of subgroups with cooperative matrices of either shape, full and
/// partly filled workgroups, and one and several workgroups.
const COOPERATIVE_SIZES: [[usize; 3]; 9] =
    [[2, 2, 1], [2, 9, 9], [1, 31, 2], [1, 38, 3], [1, 66, 2], [1, 78, 3], [1, 100, 2], [1, 190, 1], [1, 197, 3]];

impl Verified for cooperative::Call {
    /// Samples in both layouts of W. Heads are as wide as this call's, because pipelines are made for one width.
    fn samples(&self, traits: &Traits) -> Vec<Self> {
        let [prefix, head] = [self.params.prefix, self.params.head4 * 4].map(|n| n as usize);
        let both = |[images, tokens, heads]: [usize; 3]| {
            let patches = tokens.saturating_sub(prefix).max(1);
            [Layout::packed(patches), Layout::padded(prefix, patches)].map(|layout| {
                let params = cooperative_params(traits, [images, patches, prefix, heads, head], layout);
                Self { params, ..*self }
            })
        };
        COOPERATIVE_SIZES.into_iter().flat_map(both).collect()
    }

    async fn compare(&self, context: &Context, way: &'static Way<Self>, seed: u64) -> Result<Difference> {
        let Self { params, types, proportional } = *self;
        let [images, tokens, heads, head] =
            [params.images, params.tokens, params.heads, params.head4 * 4].map(|n| n as usize);
        let [prefix, stride, strips] = [params.prefix, params.stride, params.strips].map(|n| n as usize);
        let (patches, layout) =
            (tokens - prefix, Layout { stride: params.stride, shift: params.prefix - params.first });
        let (numbers, sizes) = inputs(&mut Random::named("attention_mean", seed), images * tokens, params.row4);
        let qkv = stored(numbers, types.input);
        let known = proportional.then_some(&sizes[..]);
        let all = Params {
            tokens: params.tokens,
            prefix: params.prefix,
            heads: params.heads,
            images: params.images,
            query: params.prefix,
            queries: patches as u32,
            row4: params.row4,
            key_offset4: params.key_offset4,
            head4: params.head4,
            scale: params.scale,
        };
        let w = unset(context, "w", images * patches * stride)?;
        let dominance = unset(context, "dominance", images * patches)?;
        let sums = unset(context, "column sums", images * strips * stride)?;
        let bindings = cooperative::Bindings {
            qkv: &upload_as(context, "qkv", &qkv, types.input)?,
            sizes: &upload(context, "sizes", &sizes)?,
            rows: &upload(context, "rows", &attention(&qkv, known, &whole_of(&all)).1)?,
            w: &w,
            dominance: &dominance,
            column_sums: &sums,
        };
        execute(context, |recorder| cooperative::record(recorder, way, *self, bindings))?;
        let tolerance = rounding(heads) + of_probabilities(head) + f64::from(PEAK) * cut(head);
        let expected = attention_mean(&qkv, known, &all);
        let got: Vec<f32> = download_async(context, &w, images * patches * stride).await?;
        let of_w = Difference::of_rows(&got, &laid_out(&expected, patches, layout), stride, tolerance);
        let first = attention_mean(&qkv, known, &Params { query: 0, queries: 1, ..all });
        let got: Vec<f32> = download_async(context, &dominance, images * patches).await?;
        let of_dominance = Difference::of_rows(&got, &first, patches, tolerance);
        // The kernel's strips begin at other rows than the reference's, so only the sums over all strips are compared.
        let got: Vec<f32> = download_async(context, &sums, images * strips * stride).await?;
        let got: Vec<f32> = got.chunks_exact(strips * stride).flat_map(|strips| total(strips, stride)).collect();
        let expected: Vec<f32> = expected.chunks_exact(patches * patches).flat_map(|w| total(w, patches)).collect();
        let expected = laid_out(&expected, patches, layout);
        let of_sums = Difference::of_rows(&got, &expected, stride, tolerance + rounding(patches));
        Ok(of_w.worse(of_dominance).worse(of_sums))
    }
}

/// The sum of rows of `width` numbers, column by column.
fn total(rows: &[f32], width: usize) -> Vec<f32> {
    (0..width).map(|column| rows.iter().skip(column).step_by(width).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::attention::tests::{assert_sampled, gpus};
    use super::*;

    #[test]
    fn every_number_of_patches_has_a_sample_of_its_pipeline() {
        for traits in gpus() {
            for patches in 1..=600 {
                let size = [3, patches, 5, 6, 64];
                calls(&size, Made::Connectivity).unwrap().iter().for_each(|call| assert_sampled(&traits, call));
                cooperative_calls(&traits, size).iter().for_each(|call| assert_sampled(&traits, call));
            }
        }
    }
}
