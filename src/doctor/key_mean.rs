//! Check of `condense/key_mean.wgsl`, some keys of length 0 among the others.

use super::data::{UNSET, download_as, rounding, stored, storing, upload_as};
use super::{Check, Difference, dimensions, execute};
use crate::error::Result;
use crate::gpu::{Context, Home, Placed, Precision, Types, Variant, download_texture};
use crate::kernels::key_mean::{Bindings, Params, record};
use crate::random::Random;
use crate::reference::key_mean::key_mean;

pub(super) const CHECK: Check = Check {
    kernel: "key_mean",
    dimensions: "images, patches, prefix, heads, head",
    sizes: &[&[1, 1, 1, 1, 4], &[3, 7, 2, 3, 20], &[2, 64, 5, 12, 64], &[1, 196, 1, 3, 64], &[2, 33, 1, 1, 384]],
    compare: |context, size, seed| compare(context, Variant::Plain, size, seed),
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "key_mean_subgroup",
    compare: |context, size, seed| compare(context, Variant::Subgroup, size, seed),
    ..CHECK
};

fn compare(context: &Context, variant: Variant, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches, prefix, heads, head] = dimensions(size)?;
    let head = head.next_multiple_of(4);
    let (tokens, row, keys_at) = (prefix + patches, 3 * heads * head, heads * head);
    let mut random = Random::named("key_mean", seed);
    let mut numbers = random.tensor(images * tokens * row, 0.0, 1.0);
    for token in numbers.chunks_exact_mut(row) {
        if random.below(8) == 0 {
            token[keys_at..2 * keys_at].fill(0.0);
        }
    }
    let elements = images * patches * head;
    let params = Params {
        images: images as u32,
        tokens: tokens as u32,
        prefix: prefix as u32,
        heads: heads as u32,
        row4: (row / 4) as u32,
        key_offset4: (keys_at / 4) as u32,
        head4: (head / 4) as u32,
    };
    let mut worst = Difference::NONE;
    let in_buffers = Types::ALL.map(|types| (types, Home::Buffer));
    let in_textures = Precision::ALL.map(|input| (Types::new(input, Precision::F32), Home::Texture));
    for (types, home) in in_buffers.into_iter().chain(in_textures) {
        let Types { input, output, .. } = types;
        let qkv = stored(numbers.clone(), input);
        let texels = [params.head4, patches as u32, images as u32];
        let keys = Placed::upload(context, "keys", &vec![UNSET; elements], texels, home)?;
        let bindings = Bindings { qkv: &upload_as(context, "qkv", &qkv, input)?, keys: keys.matrix() };
        execute(context, |recorder| record(recorder, variant, types, params, bindings))?;
        let got = match &keys {
            Placed::Buffer(buffer) => download_as(context, buffer, elements, output)?,
            Placed::Texture(view) => download_texture(context, view, texels)?,
        };
        let twin = key_mean(&qkv, &params);
        // Rounding of the mean is relative to the usual mean of `heads` numbers between -1 and 1; one key may be shorter.
        let usual = (head as f64 / (3.0 * heads as f64)).sqrt();
        let shortest = lengths(&qkv, &params).filter(|&length| length > 0.0).fold(usual, f64::min);
        let tolerance = rounding(heads) * usual / shortest + rounding(head) + storing(output);
        worst = worst.worse(Difference::of_floats(&got, &twin, tolerance));
    }
    Ok(worst)
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
