//! Data that several comparisons share: inputs like those in a network, and bounds on the rounding errors of their
//! sums.

use half::f16;

use crate::error::Result;
use crate::gpu::{Context, Home, Placed, Precision, Texels, download_async, upload};
use crate::kernels::layout::Layout;
use crate::kernels::top_k::{DROPPED, Listing};
use crate::random::Random;
use crate::reference::top_k::top_k;

/// The largest relative error of one rounding to f32.
pub(super) const UNIT: f64 = 1.0 / (1u64 << 24) as f64;

/// One unit in the last place, in which WGSL states the accuracy of its functions.
pub(super) const ULP: f64 = 2.0 * UNIT;

/// The rounding error of a sum of `terms` products, relative to the usual size of such sums. Roundings behave as if
/// they were independent, so their sum grows with the root of their number (Higham and Mary, 2019). Twice that root
/// covers the worst of a million elements. The 4 is for later operations on the sum, such as a division (2.5 units in
/// the last place by WGSL).
pub(super) fn rounding(terms: usize) -> f64 {
    UNIT * (4.0 + 2.0 * (terms as f64).sqrt())
}

/// NaN as a float, and a meaningless number as an integer.
pub(super) const UNSET: u32 = 0x7fc0_dead;

/// A buffer for results, filled with [`UNSET`], so that an element that a kernel does not write is found.
pub(super) fn unset(context: &Context, label: &str, len: usize) -> Result<wgpu::Buffer> {
    upload(context, label, &vec![UNSET; len])
}

/// The largest relative error of storing one number in `precision`, in addition to the errors of f32 arithmetic.
pub(super) fn storing(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 0.0,
        Precision::F16 => 1.0 / (1u64 << 11) as f64,
    }
}

/// `values` rounded to `precision`.
pub(super) fn stored(values: Vec<f32>, precision: Precision) -> Vec<f32> {
    match precision {
        Precision::F32 => values,
        Precision::F16 => values.into_iter().map(|value| f16::from_f32(value).to_f32()).collect(),
    }
}

/// A buffer of `precision` that holds `values`.
pub(super) fn upload_as(context: &Context, label: &str, values: &[f32], precision: Precision) -> Result<wgpu::Buffer> {
    match precision {
        Precision::F32 => upload(context, label, values),
        Precision::F16 => {
            let mut halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
            halves.resize(halves.len().next_multiple_of(2), f16::ZERO);
            upload(context, label, &halves)
        }
    }
}

/// The first `len` numbers of a buffer of `precision`.
pub(super) async fn download_as(
    context: &Context,
    buffer: &wgpu::Buffer,
    len: usize,
    precision: Precision,
) -> Result<Vec<f32>> {
    match precision {
        Precision::F32 => download_async(context, buffer, len).await,
        Precision::F16 => {
            let halves: Vec<f16> = download_async(context, buffer, len.next_multiple_of(2)).await?;
            Ok(halves[..len].iter().map(|half| half.to_f32()).collect())
        }
    }
}

/// Attention probabilities: [rows, stride], each row a softmax over `columns` of peaked logits, then zeros.
pub(super) fn probabilities(random: &mut Random, rows: usize, columns: usize, stride: usize) -> Vec<f32> {
    let mut probs = Vec::with_capacity(rows * stride);
    for _ in 0..rows {
        let powers: Vec<f64> = (0..columns).map(|_| (4.0 * random.unit()).exp()).collect();
        let sum: f64 = powers.iter().sum();
        probs.extend(powers.iter().map(|power| (power / sum) as f32));
        probs.resize(probs.len() + stride - columns, 0.0);
    }
    probs
}

/// W [B, N, N]: attention probabilities without the column of a class token, so rows sum to less than 1.
pub(super) fn connectivity(random: &mut Random, images: usize, patches: usize) -> Vec<f32> {
    let probs = probabilities(random, images * patches, patches + 1, patches + 1);
    probs.chunks_exact(patches + 1).flat_map(|row| &row[1..]).copied().collect()
}

/// D [B, N]: positive, about 1 / N, with up to a third of the values copied from other tokens.
pub(super) fn dominance(random: &mut Random, images: usize, patches: usize) -> Vec<f32> {
    let mut dominance: Vec<f32> =
        (0..images).flat_map(|_| probabilities(random, 1, patches + 1, patches + 1).split_off(1)).collect();
    for image in dominance.chunks_exact_mut(patches) {
        for _ in 0..patches / 3 {
            image[random.below(patches)] = image[random.below(patches)];
        }
    }
    dominance
}

/// `order` and `slot` [B, N] as `top_k` makes them, with `dropped` random tokens dropped from each image.
pub(super) fn selection(random: &mut Random, images: usize, patches: usize, dropped: usize) -> (Vec<u32>, Vec<u32>) {
    top_k(&random.tensor(images * patches, 0.0, 1.0), patches, patches.saturating_sub(dropped), Listing::Ascending)
}

/// The indices of the kept tokens in `slot`.
pub(super) fn kept(slot: &[u32]) -> Vec<usize> {
    (0..slot.len()).filter(|&token| slot[token] != DROPPED).collect()
}

/// The layouts that W may have: packed, or padded after a prefix of one token or six tokens.
pub(super) fn layouts(patches: usize) -> [Layout; 3] {
    [Layout::packed(patches), Layout::padded(1, patches), Layout::padded(6, patches)]
}

/// Uploads `numbers` in `precision`, to a texture of `texels` or to a buffer.
pub(super) fn place(
    context: &Context,
    label: &str,
    numbers: &[f32],
    precision: Precision,
    (texels, home): (Texels, Home),
) -> Result<Placed> {
    match precision {
        Precision::F32 => Placed::upload(context, label, numbers, texels, home),
        Precision::F16 => {
            let mut halves: Vec<f16> = numbers.iter().map(|&value| f16::from_f32(value)).collect();
            halves.resize(halves.len().next_multiple_of(2), f16::ZERO);
            Placed::upload(context, label, &halves, texels, home)
        }
    }
}

/// A matrix with rows of `patches` columns, laid out as `layout` says.
pub(super) fn laid_out(matrix: &[f32], patches: usize, layout: Layout) -> Vec<f32> {
    let (stride, shift) = (layout.stride as usize, layout.shift as usize);
    let mut all = vec![0.0; layout.elements(matrix.len() / patches)];
    for (row, out) in matrix.chunks_exact(patches).zip(all.chunks_exact_mut(stride)) {
        out[shift..][..patches].copy_from_slice(row);
    }
    all
}
