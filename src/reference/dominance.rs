//! Reference of `condense/dominance.wgsl`.

/// The mean over heads of the class token's probabilities for each patch token: D [B, N].
pub fn dominance(probs: &[f32], tokens: usize, prefix: usize, heads: usize, stride: usize) -> Vec<f32> {
    let mut dominance = Vec::new();
    for image in probs.chunks_exact(heads * tokens * stride) {
        for key in prefix..tokens {
            let sum: f64 = (0..heads).map(|h| f64::from(image[h * tokens * stride + key])).sum();
            dominance.push((sum / heads as f64) as f32);
        }
    }
    dominance
}
