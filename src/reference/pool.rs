//! Reference of `head/pool.wgsl`.

/// The first `first` tokens of each image side by side, then, with `mean`, the size-weighted mean of the tokens after
/// `prefix`.
pub fn pool(x: &[f32], sizes: &[f32], tokens: usize, prefix: usize, first: usize, mean: bool) -> Vec<f32> {
    let width = x.len() / sizes.len();
    let mut pooled = Vec::new();
    for (x, sizes) in x.chunks_exact(tokens * width).zip(sizes.chunks_exact(tokens)) {
        pooled.extend_from_slice(&x[..first * width]);
        if !mean {
            continue;
        }
        let total: f64 = sizes[prefix..].iter().map(|&size| f64::from(size)).sum();
        pooled.extend((0..width).map(|e| {
            let sum: f64 = (prefix..tokens).map(|t| f64::from(sizes[t]) * f64::from(x[t * width + e])).sum();
            (sum / total) as f32
        }));
    }
    pooled
}
