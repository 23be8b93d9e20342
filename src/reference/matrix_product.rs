//! Reference of `condense/matrix_product.wgsl`.

/// p X Z + q A + r I for square matrices of side `n`, stored one after the other.
pub fn matrix_product(x: &[f32], z: &[f32], a: &[f32], n: usize, [p, q, r]: [f32; 3]) -> Vec<f32> {
    let mut y = Vec::with_capacity(x.len());
    for (index, (factors, addends)) in x.chunks_exact(n).zip(a.chunks_exact(n)).enumerate() {
        let (image, row) = (index / n, index % n);
        let mut products = vec![0.0f64; n];
        for (&factor, line) in factors.iter().zip(z[image * n * n..].chunks_exact(n)) {
            for (product, &value) in products.iter_mut().zip(line) {
                *product += f64::from(factor) * f64::from(value);
            }
        }
        y.extend(products.iter().zip(addends).enumerate().map(|(column, (product, &addend))| {
            let identity = if row == column { f64::from(r) } else { 0.0 };
            (f64::from(p) * product + f64::from(q) * f64::from(addend) + identity) as f32
        }));
    }
    y
}
