//! Whether Newton's iteration can find (I - a W)^-1 from where the paper starts it: the assumption of its section 3.1,
//! looked at for one W. In f64, on the CPU.

use crate::error::{Error, Result};
use crate::random::Random;

/// The most products with M and its transpose that [`Convergence::of`] makes.
pub const MOST_ITERATIONS: usize = 10_000;
/// It stops when the norm changes by less than this part of itself, ten times in a row.
pub const TOLERANCE: f64 = 1e-12;

/// What decides convergence, for A = I - a W and X0 = diag(A)^-1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convergence {
    /// Share of the rows of A, 0 to 1, in which the diagonal element outweighs all others together in magnitude.
    pub dominant_share: f64,
    /// Spectral norm (largest singular value) of I - A X0, which is below 1 where convergence is assured. Infinite where
    /// A has a zero on its diagonal, so that X0 does not exist.
    pub norm: f64,
    /// Power iterations that the norm took.
    pub iterations: usize,
    /// Whether they settled to [`TOLERANCE`] within [`MOST_ITERATIONS`]. If not, the norm is a lower bound.
    pub settled: bool,
}

impl Convergence {
    /// Looks at `w` [N, N] with `alpha` = a.
    ///
    /// ```
    /// // Tokens that attend to nothing but themselves, with half their attention.
    /// let convergence = tcvit::convergence::Convergence::of(&[0.5, 0.0, 0.0, 0.5], 2, 4.0)?;
    /// assert_eq!((convergence.dominant_share, convergence.norm), (1.0, 0.0));
    /// # Ok::<(), tcvit::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when `w` is not N by N, [`Error::NotFinite`] when it holds what is not a number.
    pub fn of(w: &[f32], patches: usize, alpha: f64) -> Result<Self> {
        if patches == 0 || w.len() != patches * patches {
            let got = format!("{} numbers", w.len());
            return Err(Error::shape("convergence", format!("W [{patches}, {patches}]"), got));
        }
        if !w.iter().all(|v| v.is_finite()) || !alpha.is_finite() {
            return Err(Error::not_finite("convergence", "finite W and a", "one that is not"));
        }
        let a = |i: usize, j: usize| f64::from(u8::from(i == j)) - alpha * f64::from(w[i * patches + j]);
        let others = |i: usize| (0..patches).filter(|&j| j != i).map(|j| a(i, j).abs()).sum::<f64>();
        let dominant = (0..patches).filter(|&i| a(i, i).abs() > others(i)).count();
        // Column j of A X0 is column j of A divided by A[j, j], so the diagonal of I - A X0 is 0.
        let element = |i: usize, j: usize| if i == j { 0.0 } else { -a(i, j) / a(j, j) };
        let m: Vec<f64> = (0..patches * patches).map(|at| element(at / patches, at % patches)).collect();
        let (norm, iterations, settled) = spectral_norm(&m, patches);
        Ok(Self { dominant_share: dominant as f64 / patches as f64, norm, iterations, settled })
    }
}

/// Largest singular value of `m` [n, n] by power iteration on its transpose times itself, iterations, whether settled.
fn spectral_norm(m: &[f64], n: usize) -> (f64, usize, bool) {
    if m.iter().any(|v| !v.is_finite()) {
        return (f64::INFINITY, 0, true);
    }
    // A start without symmetry, so that no singular vector is orthogonal to it.
    let mut v: Vec<f64> = Random::named("power iteration", 1).tensor(n, 0.0, 1.0).into_iter().map(f64::from).collect();
    normalise(&mut v);
    let (mut norm, mut calm) = (0.0f64, 0);
    for iteration in 1..=MOST_ITERATIONS {
        let image: Vec<f64> = m.chunks_exact(n).map(|row| row.iter().zip(&v).map(|(a, b)| a * b).sum()).collect();
        let next = image.iter().map(|y| y * y).sum::<f64>().sqrt();
        calm = if (next - norm).abs() <= TOLERANCE * next { calm + 1 } else { 0 };
        norm = next;
        if calm == 10 || norm == 0.0 {
            return (norm, iteration, true);
        }
        v.fill(0.0);
        for (row, y) in m.chunks_exact(n).zip(&image) {
            v.iter_mut().zip(row).for_each(|(v, a)| *v += a * y);
        }
        normalise(&mut v);
    }
    (norm, MOST_ITERATIONS, false)
}

fn normalise(v: &mut [f64]) {
    // By the largest first: squares of huge numbers would be infinite.
    let most = v.iter().fold(f64::MIN_POSITIVE, |most, x| most.max(x.abs()));
    let length = v.iter().map(|x| (x / most).powi(2)).sum::<f64>().sqrt() * most;
    v.iter_mut().for_each(|x| *x /= length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_of_known_matrices() {
        let close = |m: &[f64], n, expected: f64| {
            let (norm, iterations, settled) = spectral_norm(m, n);
            assert!(settled && (norm - expected).abs() <= 1e-9 * expected.max(1.0), "{norm} after {iterations}");
        };
        close(&[3.0, 0.0, 0.0, -7.0], 2, 7.0);
        // Shear: the golden ratio, though both eigenvalues are 1.
        close(&[1.0, 1.0, 0.0, 1.0], 2, (1.0 + 5f64.sqrt()) / 2.0);
        // Rank one: the product of the lengths.
        close(&[3.0, 4.0, 6.0, 8.0], 2, 125f64.sqrt());
        close(&[0.0; 9], 3, 0.0);
        // All singular values alike: a rotation.
        close(&[0.6, -0.8, 0.8, 0.6], 2, 1.0);
        close(&[1e150, 0.0, 0.0, 1.0], 2, 1e150);
        assert_eq!(spectral_norm(&[f64::NAN], 1).0, f64::INFINITY);
    }

    #[test]
    fn dominance_counts_rows() {
        // A = I - W: rows [0.5, -0.1], [-0.9, 0.2]: the first is dominant.
        let one = Convergence::of(&[0.5, 0.1, 0.9, 0.8], 2, 1.0).unwrap();
        assert_eq!(one.dominant_share, 0.5);
        // I - A X0 = [0, 0.1 / 0.2; 0.9 / 0.5, 0]: its norm is the larger element.
        assert!((one.norm - 1.8).abs() < 1e-6 && one.settled, "{one:?}");
        // Equal is not dominant.
        assert_eq!(Convergence::of(&[0.5, 0.5, 0.5, 0.5], 2, 1.0).unwrap().dominant_share, 0.0);
        // With a = 0 A is I.
        let identity = Convergence::of(&[0.1, 0.9, 0.7, 0.3], 2, 0.0).unwrap();
        assert_eq!((identity.dominant_share, identity.norm), (1.0, 0.0));
    }

    #[test]
    fn a_zero_on_the_diagonal_has_no_start() {
        let none = Convergence::of(&[1.0, 0.5, 0.5, 0.5], 2, 1.0).unwrap();
        assert_eq!(none.norm, f64::INFINITY);
        assert!(Convergence::of(&[1.0; 3], 2, 1.0).is_err());
        assert!(Convergence::of(&[], 0, 1.0).is_err());
        assert!(Convergence::of(&[f32::NAN], 1, 1.0).is_err());
    }
}
