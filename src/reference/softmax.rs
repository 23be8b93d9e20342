//! Reference of `block/softmax.wgsl`.

/// Softmax of scale * x over the first `columns` elements of each row of `x` [rows, stride], in place; the others
/// become 0.
pub fn softmax(x: &mut [f32], columns: usize, stride: usize, scale: f32) {
    for row in x.chunks_exact_mut(stride) {
        let (used, rest) = row.split_at_mut(columns);
        let most = used.iter().map(|&v| f64::from(v * scale)).fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = used.iter().map(|&v| (f64::from(v) * f64::from(scale) - most).exp()).collect();
        let sum: f64 = powers.iter().sum();
        for (out, power) in used.iter_mut().zip(powers) {
            *out = (power / sum) as f32;
        }
        rest.fill(0.0);
    }
}
