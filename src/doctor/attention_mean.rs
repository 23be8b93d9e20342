//! Check of `block/attention_mean.wgsl` and its variants: W and dominance, with and without sizes, in both precisions.

use std::fmt;

use super::attention::{PEAK, Way, case, of_probabilities};
use super::data::{laid_out, rounding, stored, unset, upload_as};
use super::{Check, Difference, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision, Types, Variant};
use crate::kernels::attention::Params as AttentionParams;
use crate::kernels::attention_mean::{Bindings, Params, cooperative, record};
use crate::kernels::attention_powers::Layout;
use crate::random::Random;
use crate::reference::attention::attention;
use crate::reference::attention_mean::attention_mean;

pub(super) const CHECK: Check = Check {
    kernel: "attention_mean",
    dimensions: "images, patches, prefix, heads, head",
    sizes: &[&[1, 1, 1, 1, 4], &[2, 9, 2, 3, 20], &[2, 64, 5, 2, 64], &[1, 196, 1, 3, 64]],
    compare: |context, size, seed| compare_each(context, Variant::Plain, true, dimensions(size)?, seed),
};

/// Of a single query, for every variant.
pub(super) const ROW: Check = Check {
    kernel: "attention_mean_row",
    // More heads than threads share a key.
    sizes: &[&[1, 1, 1, 1, 4], &[2, 9, 2, 12, 20], &[2, 64, 5, 2, 64], &[1, 196, 1, 3, 64]],
    compare: |context, size, seed| compare_each(context, Variant::Plain, false, dimensions(size)?, seed),
    ..CHECK
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "attention_mean_subgroup",
    compare: |context, size, seed| compare_each(context, Variant::Subgroup, true, dimensions(size)?, seed),
    ..CHECK
};

/// In whole matrices, as many as fit.
pub(super) const COOPERATIVE: Check = Check {
    kernel: "attention_mean_cooperative",
    compare: |context, size, seed| compare_both(context, dimensions(size)?, seed),
    ..CHECK
};

/// What a session uses of the kernel that makes one of W and dominance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) variant: Variant,
    pub(crate) precision: Precision,
    pub(crate) proportional: bool,
    /// Whether W is made: of every patch token's query; dominance is of the first token's alone.
    pub(crate) all: bool,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = format!("{:?}", self.variant).to_lowercase();
        let queries = if self.all { "all queries" } else { "the first query" };
        let biased = if self.proportional { " biased" } else { "" };
        write!(f, "attention_mean {variant} {} {queries}{biased}", self.precision)
    }
}

/// W, or dominance alone, in every form.
fn compare_each(context: &Context, variant: Variant, all: bool, size: [usize; 5], seed: u64) -> Result<Difference> {
    let mut worst = Difference::NONE;
    for (precision, proportional) in [(Precision::F32, false), (Precision::F16, true)] {
        worst = worst.worse(Use { variant, precision, proportional, all }.compare(context, size, seed)?);
    }
    Ok(worst)
}

impl Use {
    /// Kernel and twin for images, patches, prefix tokens, heads and about so many dimensions of a head.
    pub(crate) fn compare(
        self,
        context: &Context,
        [images, patches, prefix, heads, head]: [usize; 5],
        seed: u64,
    ) -> Result<Difference> {
        let Self { variant, precision, proportional, all } = self;
        let (way, tokens) = (Way::Of(variant), prefix + patches);
        let head = way.head(context, head);
        let mut random = Random::named("attention_mean", seed);
        let (whole, numbers, sizes) = case(&mut random, [images, tokens, heads, head]);
        let sizes_buffer = upload(context, "sizes", &sizes)?;
        let (query, queries) = if all { (prefix, patches) } else { (0, 1) };
        let qkv = stored(numbers, precision);
        let known = proportional.then_some(&sizes[..]);
        let (_, rows) = attention(&qkv, known, &whole);
        let params = mean_of(&whole, prefix, (query, queries));
        let y = unset(context, "y", images * queries * patches)?;
        let bindings = Bindings {
            qkv: &upload_as(context, "qkv", &qkv, precision)?,
            sizes: &sizes_buffer,
            rows: &upload(context, "rows", &rows)?,
            y: &y,
        };
        let types = Types::new(precision, Precision::F32);
        execute(context, |recorder| record(recorder, variant, types, params, proportional, bindings))?;
        let got: Vec<f32> = download(context, &y, images * queries * patches)?;
        let twin = attention_mean(&qkv, known, &params);
        let tolerance = rounding(heads) + of_probabilities(head) + f64::from(PEAK) * way.cut(head);
        Ok(Difference::of_rows(&got, &twin, patches, tolerance))
    }
}

/// W and dominance of one dispatch.
fn compare_both(
    context: &Context,
    [images, patches, prefix, heads, head]: [usize; 5],
    seed: u64,
) -> Result<Difference> {
    let (tokens, head) = (prefix + patches, Way::Cooperative.head(context, head));
    let (whole, numbers, sizes) = case(&mut Random::named("attention_mean", seed), [images, tokens, heads, head]);
    let sizes_buffer = upload(context, "sizes", &sizes)?;
    let mut worst = Difference::NONE;
    for proportional in [false, true] {
        let qkv = stored(numbers.clone(), Precision::F16);
        let known = proportional.then_some(&sizes[..]);
        let (_, rows) = attention(&qkv, known, &whole);
        for layout in [Layout::packed(patches), Layout::padded(prefix, patches)] {
            let (stride, strips) = (layout.stride as usize, cooperative::strips(context, tokens)?);
            let params = cooperative::Params {
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
                strips: strips as u32,
            };
            let w = unset(context, "w", images * patches * stride)?;
            let dominance = unset(context, "dominance", images * patches)?;
            let sums = unset(context, "column sums", images * strips * stride)?;
            let bindings = cooperative::Bindings {
                qkv: &upload_as(context, "qkv", &qkv, Precision::F16)?,
                sizes: &sizes_buffer,
                rows: &upload(context, "rows", &rows)?,
                w: &w,
                dominance: &dominance,
                column_sums: &sums,
            };
            let types = Types::new(Precision::F16, Precision::F32);
            execute(context, |recorder| cooperative::record(recorder, types, params, proportional, bindings))?;
            let tolerance = rounding(heads) + of_probabilities(head) + f64::from(PEAK) * Way::Cooperative.cut(head);
            let twin = attention_mean(&qkv, known, &mean_of(&whole, prefix, (prefix, patches)));
            let got: Vec<f32> = download(context, &w, images * patches * stride)?;
            worst = worst.worse(Difference::of_rows(&got, &laid_out(&twin, patches, layout), stride, tolerance));
            let first = attention_mean(&qkv, known, &mean_of(&whole, prefix, (0, 1)));
            let got: Vec<f32> = download(context, &dominance, images * patches)?;
            worst = worst.worse(Difference::of_rows(&got, &first, patches, tolerance));
            // Strips begin at other rows than the twin's: what counts is all of them together.
            let got: Vec<f32> = download(context, &sums, images * strips * stride)?;
            let got: Vec<f32> = got.chunks_exact(strips * stride).flat_map(|strips| total(strips, stride)).collect();
            let sums: Vec<f32> = twin.chunks_exact(patches * patches).flat_map(|w| total(w, patches)).collect();
            let sums = laid_out(&sums, patches, layout);
            worst = worst.worse(Difference::of_rows(&got, &sums, stride, tolerance + rounding(patches)));
        }
    }
    Ok(worst)
}

/// The sum of rows of `width` numbers.
fn total(rows: &[f32], width: usize) -> Vec<f32> {
    (0..width).map(|column| rows.iter().skip(column).step_by(width).sum()).collect()
}

/// Means of some of the queries of `whole`.
fn mean_of(whole: &AttentionParams, prefix: usize, (query, queries): (usize, usize)) -> Params {
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
