//! Reference of `block/linear.wgsl`.

use crate::config::Activation;
use crate::kernels::linear::Epilogue;

/// x [M, K] times w [K, stride] plus bias: the first `columns` columns go into y [M, columns] by `epilogue`. For
/// [`Epilogue::Gather`], y must hold the gathered rows already: see [`gather`].
pub fn linear(x: &[f32], w: &[f32], bias: &[f32], inner: usize, columns: usize, epilogue: Epilogue, y: &mut [f32]) {
    let stride = w.len() / inner;
    let mut sums = vec![0.0f64; columns];
    for (row, out) in x.chunks_exact(inner).zip(y.chunks_exact_mut(columns)) {
        for (sum, &b) in sums.iter_mut().zip(bias) {
            *sum = f64::from(b);
        }
        for (&a, weights) in row.iter().zip(w.chunks_exact(stride)) {
            for (sum, &b) in sums.iter_mut().zip(weights) {
                *sum += f64::from(a) * f64::from(b);
            }
        }
        for (out, &sum) in out.iter_mut().zip(&sums) {
            *out = match epilogue {
                Epilogue::Store => sum as f32,
                Epilogue::Activate(activation) => activate(activation, sum) as f32,
                Epilogue::Accumulate | Epilogue::Gather => (f64::from(*out) + sum) as f32,
            };
        }
    }
}

/// The rows `rows` of `tokens` [.., columns], in that order.
pub fn gather(tokens: &[f32], columns: usize, rows: &[u32]) -> Vec<f32> {
    rows.iter().flat_map(|&row| &tokens[row as usize * columns..][..columns]).copied().collect()
}

/// x/2 (1 + erf(x / sqrt 2)), with erf in f64.
pub fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// An activation in f64.
pub fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Gelu => gelu(x),
        Activation::GeluTanh => {
            0.5 * x * (1.0 + (std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044715 * x.powi(3))).tanh())
        }
        Activation::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
    }
}
