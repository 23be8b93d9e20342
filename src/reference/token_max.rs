//! Reference of `head/token_max.wgsl`.

/// Adds to `y` [B, classes] `share` times the largest of `x` [B, T, classes] over the tokens after `prefix`. A NaN is
/// larger than any number.
pub fn token_max(x: &[f32], tokens: usize, prefix: usize, classes: usize, share: f32, y: &mut [f32]) {
    for (x, y) in x.chunks_exact(tokens * classes).zip(y.chunks_exact_mut(classes)) {
        for (class, y) in y.iter_mut().enumerate() {
            let of_class = x.chunks_exact(classes).skip(prefix).map(|token| token[class]);
            let most = of_class.fold(f32::NEG_INFINITY, |most, v| match most.is_nan() || v.is_nan() {
                true => f32::NAN,
                false => most.max(v),
            });
            *y = (f64::from(*y) + f64::from(share) * f64::from(most)) as f32;
        }
    }
}
