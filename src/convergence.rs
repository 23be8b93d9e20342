//! Whether Newton's iteration converges to (I - a W)^-1 from the start that the paper gives it, as its section 3.1
//! assumes. Computed for one W, in f64, on the CPU.

use crate::error::{Error, Result};
use crate::random::Random;

/// The largest number of power iterations that [`Convergence::of`] makes, each a product with M = I - A X0 and one with
/// its transpose.
pub const MOST_ITERATIONS: usize = 10_000;
/// The power iteration stops when the norm changes by at most this share of itself, ten times in a row.
pub const TOLERANCE: f64 = 1e-12;

/// The quantities that decide whether the iteration converges, for A = I - a W and X0 = diag(A)^-1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convergence {
    /// Share of the rows of A, 0 to 1, in which the magnitude of the diagonal element exceeds the sum of the magnitudes
    /// of all others.
    pub dominant_share: f64,
    /// Spectral norm (largest singular value) of I - A X0. Below 1, convergence is assured. Infinite when A has a zero
    /// on its diagonal, since X0 does not exist then.
    pub norm: f64,
    /// Number of power iterations after which the norm was found.
    pub iterations: usize,
    /// Whether the norm settled to [`TOLERANCE`] within [`MOST_ITERATIONS`]. If not, the norm is a lower bound.
    pub settled: bool,
}

impl Convergence {
    /// Computes these quantities for `w` [N, N], with N = `patches` and a = `alpha`.
    ///
    /// ```
    /// // Two tokens, each of which attends to itself only, with half of its attention.
    /// let convergence = tcvit::low_level::convergence::Convergence::of(&[0.5, 0.0, 0.0, 0.5], 2, 4.0)?;
    /// assert_eq!((convergence.dominant_share, convergence.norm), (1.0, 0.0));
    /// # Ok::<(), tcvit::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when `w` is not N by N, [`Error::NotFinite`] when `w` or `alpha` is not finite.
    pub fn of(w: &[f32], patches: usize, alpha: f64) -> Result<Self> {
        if patches == 0 || w.len() != patches * patches {
            let got = format!("{} numbers", w.len());
            return Err(Error::shape("convergence", format!("W [{patches}, {patches}]"), got));
        }
        if !w.iter().all(|v| v.is_finite()) || !alpha.is_finite() {
            return Err(Error::not_finite("convergence", "finite W and a", "a number that is not finite"));
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

/// The largest singular value of `m` [n, n], by power iteration on its transpose times `m`; the number of iterations;
/// and whether the value settled.
fn spectral_norm(m: &[f64], n: usize) -> (f64, usize, bool) {
    if m.iter().any(|v| !v.is_finite()) {
        return (f64::INFINITY, 0, true);
    }
    // A random start, so that no singular vector is orthogonal to it by symmetry.
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
    // Divide by the largest magnitude first: squares of huge numbers would be infinite.
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
        // A shear has the golden ratio as its norm, though both eigenvalues are 1.
        close(&[1.0, 1.0, 0.0, 1.0], 2, (1.0 + 5f64.sqrt()) / 2.0);
        // A matrix of rank one has the product of the two vectors' lengths.
        close(&[3.0, 4.0, 6.0, 8.0], 2, 125f64.sqrt());
        close(&[0.0; 9], 3, 0.0);
        // All singular values of a rotation are 1.
        close(&[0.6, -0.8, 0.8, 0.6], 2, 1.0);
        close(&[1e150, 0.0, 0.0, 1.0], 2, 1e150);
        assert_eq!(spectral_norm(&[f64::NAN], 1).0, f64::INFINITY);
    }

    #[test]
    fn dominance_counts_rows() {
        // A = I - W: rows [0.5, -0.1], [-0.9, 0.2]: the first is dominant.
        let one = Convergence::of(&[0.5, 0.1, 0.9, 0.8], 2, 1.0).unwrap();
        assert_eq!(one.dominant_share, 0.5);
        // I - A X0 = [0, 0.1 / 0.2; 0.9 / 0.5, 0]. Its norm is the larger element.
        assert!((one.norm - 1.8).abs() < 1e-6 && one.settled, "{one:?}");
        // A diagonal element that only equals the sum of the others is not dominant.
        assert_eq!(Convergence::of(&[0.5, 0.5, 0.5, 0.5], 2, 1.0).unwrap().dominant_share, 0.0);
        // With a = 0, A is the identity.
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
