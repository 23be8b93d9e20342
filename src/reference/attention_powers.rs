//! Twin of `condense/attention_powers.wgsl`.

use crate::kernels::attention::Emission;
use crate::kernels::attention_powers::Params;

/// What a shader's `powers` [B, H, T, stride], `levels` [B, H, chunks, T] and `rows` [B, H, T] say of P [B, H, T, stride],
/// of which [`attention_connectivity`](super::attention_connectivity) and [`dominance`](super::dominance) make the rest.
pub fn probabilities(powers: &[f32], levels: &[f32], rows: &[[f32; 2]], params: &Params) -> Vec<f32> {
    let tokens = params.tokens as usize;
    let (stride, chunks) = (Emission::powers_stride(tokens), tokens.div_ceil(32));
    let mut probs = Vec::with_capacity(powers.len());
    for (index, (row, [largest, inverse])) in powers.chunks_exact(stride).zip(rows).enumerate() {
        let (head, query) = (index / tokens, index % tokens);
        probs.extend(row.iter().enumerate().map(|(key, &power)| {
            // What is past the last key belongs to its chunk.
            let chunk = key.min(tokens - 1) / 32;
            let level = f64::from(levels[(head * chunks + chunk) * tokens + query]);
            (f64::from(power) * (level - f64::from(*largest)).exp() * f64::from(*inverse)) as f32
        }));
    }
    probs
}
