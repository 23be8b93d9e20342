//! Reference of `condense/uniqueness.wgsl`.

use crate::kernels::uniqueness::Params;

/// (1 - u) D^g size^h for each token, where u is its largest cosine with a token that outranks it in dominance, or -1
/// if none does. Cosines are [B, N, N], dominance [B, N], sizes [B, E + N].
pub fn uniqueness(cosine: &[f32], dominance: &[f32], sizes: &[f32], params: &Params) -> Vec<f32> {
    let (patches, prefix) = (params.patches as usize, params.prefix as usize);
    let mut score = Vec::with_capacity(dominance.len());
    let images = cosine.chunks_exact(patches * patches).zip(dominance.chunks_exact(patches));
    for ((cosine, dominance), sizes) in images.zip(sizes.chunks_exact(prefix + patches)) {
        for (token, &own) in dominance.iter().enumerate() {
            let outranks = |other: usize| dominance[other] > own || (dominance[other] == own && other < token);
            let most = (0..patches)
                .filter(|&other| outranks(other))
                .map(|other| cosine[other * patches + token])
                .fold(-1.0, f32::max);
            let power = if own.is_nan() { own } else { own.powf(params.exponent) };
            score.push((1.0 - most) * power * sizes[prefix + token].powf(params.size_exponent));
        }
    }
    score
}
