//! Reference of `condense/attention_connectivity.wgsl`.

/// The mean over heads of the patch-to-patch part of probs [B, H, T, stride]: W [B, N, N], where N = T - prefix.
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

/// Sums of the columns of W [B, N, N] over strips of `strip` rows: [B, strips, N].
pub fn column_sums(w: &[f32], patches: usize, strip: usize) -> Vec<f32> {
    let mut sums = Vec::new();
    for rows in w.chunks_exact(patches * patches).flat_map(|image| image.chunks(strip * patches)) {
        let column = |j: usize| rows.iter().skip(j).step_by(patches).map(|&w| f64::from(w)).sum::<f64>() as f32;
        sums.extend((0..patches).map(column));
    }
    sums
}
