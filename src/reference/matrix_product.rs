//! Twin of `condense/matrix_product.wgsl`.

/// p X Z + q A + r I for square matrices of side `n`, one after the other.
pub fn matrix_product(x: &[f32], z: &[f32], a: &[f32], n: usize, [p, q, r]: [f32; 3]) -> Vec<f32> {
    let mut y = Vec::with_capacity(x.len());
    for (base, at) in (0..x.len()).step_by(n * n).flat_map(|base| (0..n * n).map(move |at| (base, at))) {
        let (row, column) = (at / n, at % n);
        let product: f64 = (0..n).map(|k| f64::from(x[base + row * n + k]) * f64::from(z[base + k * n + column])).sum();
        let identity = if row == column { f64::from(r) } else { 0.0 };
        y.push((f64::from(p) * product + f64::from(q) * f64::from(a[base + at]) + identity) as f32);
    }
    y
}
