//! Check of `block/attention_mean.wgsl`: W and dominance, with and without sizes, in both precisions.

use super::attention::{case, of_probabilities};
use super::data::{rounding, stored, unset, upload_as};
use super::{Check, Difference, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision, Types, Variant};
use crate::kernels::attention_mean::{Bindings, Params, record};
use crate::random::Random;
use crate::reference::attention::attention;
use crate::reference::attention_mean::attention_mean;

pub(super) const CHECK: Check = Check {
    kernel: "attention_mean",
    dimensions: "images, patches, prefix, heads, head",
    sizes: &[&[1, 1, 1, 1, 4], &[2, 9, 2, 3, 20], &[2, 64, 5, 2, 64], &[1, 196, 1, 3, 64]],
    compare: |context, size, seed| compare(context, Variant::Plain, size, seed),
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "attention_mean_subgroup",
    compare: |context, size, seed| compare(context, Variant::Subgroup, size, seed),
    ..CHECK
};

fn compare(context: &Context, variant: Variant, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches, prefix, heads, head] = dimensions(size)?;
    let (tokens, head) = (prefix + patches, head.next_multiple_of(4));
    let mut random = Random::named("attention_mean", seed);
    let (whole, numbers, sizes) = case(&mut random, [images, tokens, heads, head]);
    let sizes_buffer = upload(context, "sizes", &sizes)?;
    let mut worst = Difference::NONE;
    let kinds = [
        (Precision::F32, false, (0, 1)),
        (Precision::F32, false, (prefix, patches)),
        (Precision::F16, true, (prefix, patches)),
    ];
    for (precision, proportional, (query, queries)) in kinds {
        let qkv = stored(numbers.clone(), precision);
        let known = proportional.then_some(&sizes[..]);
        let (_, rows) = attention(&qkv, known, &whole);
        let params = Params {
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
        };
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
        worst = worst.worse(Difference::of_rows(&got, &twin, patches, rounding(heads) + of_probabilities(head)));
    }
    Ok(worst)
}
