//! Bounds on the rounding errors of `condense/connectivity.wgsl`. It repeats the kernel's chain of products in f64 and
//! gives every vector a bound on the error of its elements (a running error analysis, Higham, Accuracy and Stability,
//! section 3.3). Newton iterations amplify errors as much as they amplify numbers, so a fixed tolerance would not do.

use super::data::{UNIT, rounding};
use crate::kernels::connectivity::Chain;

/// Halves diagonal elements of W for which 1 - a w is within a quarter of zero. Newton's start is the inverse of 1 - a
/// w. Near zero this is almost singular, and no two roundings of it agree.
pub(super) fn settle_diagonal(w: &mut [f32], patches: usize, alpha: f32) {
    for matrix in w.chunks_exact_mut(patches * patches) {
        for element in matrix.iter_mut().step_by(patches + 1) {
            if (1.0 - alpha * *element).abs() < 0.25 {
                *element *= 0.5;
            }
        }
    }
}

/// The vector that the chain starts from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Start {
    /// The unit vector of a row. The result is that row of C.
    Row(usize),
    /// The mean over rows.
    ColumnMean,
    /// The mean over columns. W multiplies its vectors from the left.
    RowMean,
}

/// Bounds on the rounding errors of the kernel's elements for one image's W.
pub(super) fn bound(w: &[f32], patches: usize, chain: Chain, start: Start) -> Vec<f64> {
    let w = w.iter().map(|&v| f64::from(v)).collect();
    Bounds { w, patches, chain, from_left: start == Start::RowMean }.error(start)
}

/// Results of GPU functions below this may be flushed to zero.
const TINY: f64 = f32::MIN_POSITIVE as f64;

struct Bounds {
    w: Vec<f64>,
    patches: usize,
    chain: Chain,
    from_left: bool,
}

#[derive(Clone)]
struct Vector {
    value: Vec<f64>,
    error: Vec<f64>,
}

impl Bounds {
    fn error(&self, start: Start) -> Vec<f64> {
        let n = self.patches;
        let first = match start {
            Start::Row(row) => Vector { value: self.w[row * n..][..n].to_vec(), error: vec![0.0; n] },
            // 1 / n is a quotient, which WGSL computes within 2.5 units in the last place.
            _ => Vector { value: vec![1.0 / n as f64; n], error: vec![5.0 * UNIT / n as f64; n] },
        };
        let vector = match (self.chain.newton_steps, start) {
            (None, Start::Row(row)) => self.power_sum(first, |j| if j == row { 1.0 } else { 0.0 }),
            (None, _) => self.power_sum(self.product(&first), |_| 1.0 / n as f64),
            (Some(steps), Start::Row(_)) => self.invert(self.truncate(first), 1 << steps),
            (Some(steps), Start::ColumnMean) => self.invert(self.truncate(self.product(&first)), 1 << steps),
            (Some(steps), Start::RowMean) => self.product(&self.truncate(self.invert(first, 1 << steps))),
        };
        vector.error
    }

    fn scale(&self) -> f64 {
        f64::from(self.chain.alpha).max(1.0)
    }

    /// v W, or W v if W multiplies from the left. No element of W is negative.
    fn product(&self, v: &Vector) -> Vector {
        let n = self.patches;
        let made: Vec<f64> =
            v.error.iter().zip(&v.value).map(|(error, value)| error + rounding(n) * value.abs()).collect();
        let mut out = Vector { value: vec![0.0; n], error: vec![n as f64 * TINY; n] };
        for (i, row) in self.w.chunks_exact(n).enumerate() {
            if self.from_left {
                out.value[i] += row.iter().zip(&v.value).map(|(w, value)| w * value).sum::<f64>();
                out.error[i] += row.iter().zip(&made).map(|(w, error)| w * error).sum::<f64>();
            } else {
                let elements = out.value.iter_mut().zip(&mut out.error);
                for ((value, error), w) in elements.zip(row) {
                    *value += v.value[i] * w;
                    *error += made[i] * w;
                }
            }
        }
        out
    }

    /// y_(m+1) = (ratio y_m + s^-m r) W.
    fn power_sum(&self, mut v: Vector, start: impl Fn(usize) -> f64) -> Vector {
        let ratio = f64::from(self.chain.alpha) / self.scale();
        for m in 1..self.chain.order {
            let factor = self.scale().powi(-(m as i32));
            for j in 0..self.patches {
                let added = factor * start(j);
                v.error[j] =
                    ratio * v.error[j] + TINY + UNIT * (3.0 * ratio * v.value[j] + (f64::from(m) + 7.0) * added);
                v.value[j] = ratio * v.value[j] + added;
            }
            v = self.product(&v);
        }
        v
    }

    /// v (s^-K I - ratio^K W^K). The kernel makes the factors by repeated multiplication.
    fn truncate(&self, v: Vector) -> Vector {
        let order = self.chain.order;
        let plain = self.scale().powi(-(order as i32));
        let powered = (f64::from(self.chain.alpha) / self.scale()).powi(order as i32);
        let product = (0..order).fold(v.clone(), |product, _| self.product(&product));
        let own = UNIT * (f64::from(order) + 3.0);
        let error = |j: usize| {
            let (v_size, product_size) = (plain * v.value[j].abs(), powered * product.value[j].abs());
            plain * v.error[j]
                + powered * product.error[j]
                + own * (v_size + product_size)
                + TINY * (1.0 + v.value[j].abs())
        };
        Vector {
            value: (0..self.patches).map(|j| plain * v.value[j] - powered * product.value[j]).collect(),
            error: (0..self.patches).map(error).collect(),
        }
    }

    /// The sum of `terms` terms of equation 10's series: term -= (term A) X0, with A = I - a W. In exact arithmetic the
    /// diagonal of I - A X0 is zero. The rounding errors on that diagonal are counted, but not their propagation.
    fn invert(&self, v: Vector, terms: u32) -> Vector {
        let alpha = f64::from(self.chain.alpha);
        // Element j of diag(A)^-1 and its relative error, which comes from a cancellation in 1 - a w and a division.
        let jacobi: Vec<(f64, f64)> = (0..self.patches)
            .map(|j| {
                let scaled = alpha * self.w[j * self.patches + j];
                let divisor = (1.0 - scaled).abs();
                (1.0 / (1.0 - scaled), UNIT * (6.0 + (1.0 + scaled) / divisor))
            })
            .collect();
        let mut term = v;
        for (j, &(inverse, relative)) in jacobi.iter().enumerate() {
            term.value[j] *= inverse;
            term.error[j] = term.error[j] * inverse.abs() + relative * term.value[j].abs() + TINY;
        }
        let mut sum = term.clone();
        for _ in 1..terms {
            let product = self.product(&term);
            for (j, &(inverse, relative)) in jacobi.iter().enumerate() {
                let (value, scaled) = (term.value[j], alpha * product.value[j]);
                let residual = (value - scaled) * inverse;
                let others = alpha * (product.error[j] - term.error[j] * self.w[j * self.patches + j]);
                let subtraction = UNIT * (2.0 * scaled.abs() + (value - scaled).abs());
                term.value[j] = value - residual;
                term.error[j] = inverse.abs() * (others + subtraction)
                    + (relative + UNIT) * residual.abs()
                    + UNIT * term.value[j].abs()
                    + TINY;
                sum.value[j] += term.value[j];
                sum.error[j] += term.error[j] + UNIT * sum.value[j].abs();
            }
        }
        sum
    }
}
