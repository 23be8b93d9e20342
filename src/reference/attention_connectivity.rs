//! Twin of `condense/attention_connectivity.wgsl`.

/// Mean over heads of the patch-to-patch part of probs [B, H, T, stride]: W [B, N, N], N = T - prefix.
pub fn attention_connectivity(probs: &[f32], tokens: usize, prefix: usize, heads: usize, stride: usize) -> Vec<f32> {
    let mut w = Vec::new();
    for image in probs.chunks_exact(heads * tokens * stride) {
        for query in prefix..tokens {
            for key in prefix..tokens {
                let sum: f64 = (0..heads).map(|h| f64::from(image[(h * tokens + query) * stride + key])).sum();
                w.push((sum / heads as f64) as f32);
            }
        }
    }
    w
}
