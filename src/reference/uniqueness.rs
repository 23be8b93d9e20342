//! Twin of `condense/uniqueness.wgsl`.

/// (1 - u) D^g for each token, u its largest cosine to a token that outranks it in dominance, -1 where none does.
pub fn uniqueness(cosine: &[f32], dominance: &[f32], patches: usize, exponent: f32) -> Vec<f32> {
    let mut score = Vec::with_capacity(dominance.len());
    for (cosine, dominance) in cosine.chunks_exact(patches * patches).zip(dominance.chunks_exact(patches)) {
        for (token, &own) in dominance.iter().enumerate() {
            let outranks = |other: usize| dominance[other] > own || (dominance[other] == own && other < token);
            let most = (0..patches)
                .filter(|&other| outranks(other))
                .map(|other| cosine[other * patches + token])
                .fold(-1.0, f32::max);
            let power = if own.is_nan() { own } else { own.powf(exponent) };
            score.push((1.0 - most) * power);
        }
    }
    score
}
