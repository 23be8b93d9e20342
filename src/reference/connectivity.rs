//! Reference of `condense/connectivity.wgsl`: C itself, computed densely in f64 as eqs. 8 to 10 are printed. The kernel
//! never stores C, so the comparison also tests the algebra by which the kernel avoids it.

use crate::kernels::connectivity::Chain;

/// A square matrix in row-major order.
pub type Matrix = Vec<f64>;

/// C of one image, at the kernel's scale: divided by s^(K-1) for the power sum and by s^K for Newton, with s = max(a,
/// 1).
pub fn connectivity(w: &[f32], n: usize, chain: Chain) -> Matrix {
    let w: Matrix = w.iter().map(|&v| f64::from(v)).collect();
    let alpha = f64::from(chain.alpha);
    let scale = alpha.max(1.0);
    let order = chain.order as i32;
    match chain.newton_steps {
        None => {
            // The sum over k of a^(k-1) s^(1-K) W^k, written so that no intermediate factor leaves the range of f64.
            let mut power = w.clone();
            let mut sum = vec![0.0; n * n];
            for k in 1..=order {
                if k > 1 {
                    power = multiply(&power, &w, n);
                }
                let factor = (alpha / scale).powi(k - 1) * scale.powi(k - order);
                for (sum, value) in sum.iter_mut().zip(&power) {
                    *sum += factor * value;
                }
            }
            sum
        }
        Some(steps) => {
            let a = combine(&identity(n), 1.0, &w, -alpha);
            let mut x: Matrix = (0..n * n).map(|i| if i / n == i % n { 1.0 / a[i] } else { 0.0 }).collect();
            for _ in 0..steps {
                let error = combine(&identity(n), 1.0, &multiply(&a, &x, n), -1.0);
                x = combine(&x, 1.0, &multiply(&x, &error, n), 1.0);
            }
            let power = (1..order).fold(w.clone(), |power, _| multiply(&power, &w, n));
            let rest = combine(&identity(n), scale.powi(-order), &power, -(alpha / scale).powi(order));
            multiply(&multiply(&w, &rest, n), &x, n)
        }
    }
}

fn identity(n: usize) -> Matrix {
    (0..n * n).map(|i| f64::from(u8::from(i / n == i % n))).collect()
}

fn combine(a: &[f64], p: f64, b: &[f64], q: f64) -> Matrix {
    a.iter().zip(b).map(|(a, b)| p * a + q * b).collect()
}

fn multiply(a: &[f64], b: &[f64], n: usize) -> Matrix {
    let mut c = vec![0.0; n * n];
    for (row, out) in a.chunks_exact(n).zip(c.chunks_exact_mut(n)) {
        for (&factor, line) in row.iter().zip(b.chunks_exact(n)) {
            for (out, value) in out.iter_mut().zip(line) {
                *out += factor * value;
            }
        }
    }
    c
}
