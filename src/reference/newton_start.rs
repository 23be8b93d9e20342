//! Reference of `condense/newton_start.wgsl`.

/// A = I - a W and X0 = diag(A)^-1 for square matrices of side `n`, stored one after the other.
pub fn newton_start(w: &[f32], n: usize, alpha: f32) -> (Vec<f32>, Vec<f32>) {
    w.iter()
        .enumerate()
        .map(|(index, &value)| {
            let diagonal = index % (n * n) / n == index % n;
            let a = if diagonal { 1.0 - alpha * value } else { -alpha * value };
            (a, if diagonal { 1.0 / a } else { 0.0 })
        })
        .unzip()
}
