//! The difference between two results, and whether rounding explains it.

/// The difference between a kernel's result and its reference's.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// The largest difference, relative to the largest magnitude in the reference's result. For indices, the number of
    /// indices that differ. NaN when a result is NaN and its reference is not.
    pub largest: f64,
    /// The largest difference that rounding explains.
    pub tolerance: f64,
}

impl Difference {
    /// No difference: the start value when several comparisons are folded into one.
    pub(crate) const NONE: Self = Self { largest: 0.0, tolerance: 0.0 };

    /// A difference that never passes.
    const FAILED: Self = Self { largest: f64::NAN, tolerance: 0.0 };

    /// The largest difference of two lists of numbers, relative to the largest magnitude in the reference. NaN equals
    /// only NaN. Lists of different lengths fail, and so do empty ones.
    pub fn of_floats(got: &[f32], reference: &[f32], tolerance: f64) -> Self {
        Self::of_floats_near(got, reference, f64::MIN_POSITIVE, tolerance)
    }

    /// As [`Difference::of_floats`], but relative to `scale` if that is larger than the reference's magnitudes. For
    /// sums whose terms may cancel, so that the result is far smaller than the terms that were rounded.
    pub fn of_floats_near(got: &[f32], reference: &[f32], scale: f64, tolerance: f64) -> Self {
        if got.len() != reference.len() || got.is_empty() {
            return Self { tolerance, ..Self::FAILED };
        }
        let scale = reference.iter().filter(|v| v.is_finite()).fold(scale, |most, v| most.max(f64::from(v.abs())));
        let mut largest = 0.0f64;
        for (&got, &reference) in got.iter().zip(reference) {
            if got.to_bits() == reference.to_bits() || (got.is_nan() && reference.is_nan()) {
                continue;
            }
            let difference = (f64::from(got) - f64::from(reference)).abs() / scale;
            if difference.is_nan() {
                return Self { tolerance, ..Self::FAILED };
            }
            largest = largest.max(difference);
        }
        Self { largest, tolerance }
    }

    /// The worst row of two matrices with rows of `width` elements, each row relative to the reference's largest
    /// magnitude in that row.
    pub fn of_rows(got: &[f32], reference: &[f32], width: usize, tolerance: f64) -> Self {
        if got.len() != reference.len() || got.is_empty() || width == 0 {
            return Self { tolerance, ..Self::FAILED };
        }
        got.chunks(width)
            .zip(reference.chunks(width))
            .map(|(got, reference)| Self::of_floats(got, reference, tolerance))
            .fold(Self::NONE, Self::worse)
    }

    /// The difference of two lists with a separate bound on the rounding error of each number. The result is that of
    /// the number nearest its bound (or beyond it), both relative to the largest magnitude in the reference.
    pub fn of_bounded(got: &[f32], reference: &[f64], bound: &[f64]) -> Self {
        if got.len() != reference.len() || got.len() != bound.len() || got.is_empty() {
            return Self::FAILED;
        }
        let scale = reference.iter().fold(f64::MIN_POSITIVE, |most, v| most.max(v.abs()));
        got.iter()
            .zip(reference.iter().zip(bound))
            .map(|(&got, (reference, bound))| Self {
                largest: (f64::from(got) - reference).abs() / scale,
                tolerance: bound / scale,
            })
            .fold(Self::NONE, Self::worse)
    }

    /// The number of indices that differ between two lists. It passes only if none does.
    pub fn of_indices(got: &[u32], reference: &[u32]) -> Self {
        if got.is_empty() {
            return Self::FAILED;
        }
        let differing = got.iter().zip(reference).filter(|(a, b)| a != b).count() + got.len().abs_diff(reference.len());
        Self { largest: differing as f64, tolerance: 0.0 }
    }

    /// Whether rounding explains the difference. The comparison is written so that NaN fails.
    pub fn passed(&self) -> bool {
        self.largest <= self.tolerance
    }

    /// The worse of two differences: the one that fails, or, if neither does, the one nearer its tolerance.
    pub fn worse(self, other: Self) -> Self {
        let rank = |d: &Self| match d.passed() {
            true if d.largest == 0.0 => 0.0,
            true => d.largest / d.tolerance,
            false => f64::INFINITY,
        };
        if rank(&other) >= rank(&self) { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: [f32; 4] = [1.0, -2.0, 0.0, 4.0];

    #[test]
    fn equal_results_pass() {
        assert!(Difference::of_floats(&REFERENCE, &REFERENCE, 0.0).passed());
        assert!(Difference::of_rows(&REFERENCE, &REFERENCE, 2, 0.0).passed());
        assert!(Difference::of_indices(&[3, 1], &[3, 1]).passed());
        let specials = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0];
        assert!(Difference::of_floats(&specials, &specials, 0.0).passed());
        assert!(Difference::of_bounded(&[1.0, 2.0], &[1.0, 2.5], &[0.0, 0.5]).passed());
    }

    #[test]
    fn a_perturbed_element_fails_and_its_size_is_told() {
        for at in 0..4 {
            let mut got = REFERENCE;
            got[at] += 0.004;
            let difference = Difference::of_floats(&got, &REFERENCE, 9e-4);
            assert!(!difference.passed(), "{difference:?}");
            assert!((difference.largest - 0.001).abs() < 1e-6, "{difference:?}");
            assert!(Difference::of_floats(&got, &REFERENCE, 1.1e-3).passed());
        }
        // The second row is off by a thousandth of itself, which is a millionth of the first row.
        assert!(!Difference::of_rows(&[1e3, 1.001], &[1e3, 1.0], 1, 1e-4).passed());
        assert!(Difference::of_floats(&[1e3, 1.001], &[1e3, 1.0], 1e-4).passed());
        assert!(!Difference::of_bounded(&[1e3, 1.001], &[1e3, 1.0], &[1.0, 9e-4]).passed());
        assert!(!Difference::of_indices(&[3, 1, 2], &[3, 2, 2]).passed());
    }

    #[test]
    fn nan_and_infinity_fail_unless_the_reference_has_them_too() {
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in 0..4 {
                let mut other = REFERENCE;
                other[at] = wrong;
                assert!(!Difference::of_floats(&other, &REFERENCE, 1e9).passed(), "{wrong} for {}", REFERENCE[at]);
                assert!(!Difference::of_floats(&REFERENCE, &other, 1e9).passed(), "{} for {wrong}", REFERENCE[at]);
                assert!(!Difference::of_rows(&other, &REFERENCE, 2, 1e9).passed());
                assert!(!Difference::of_bounded(&other, &REFERENCE.map(f64::from), &[1e9; 4]).passed());
            }
        }
        assert!(!Difference::of_floats(&[f32::INFINITY], &[f32::NEG_INFINITY], 1e9).passed());
        assert!(!Difference::of_bounded(&[1.0], &[1.0], &[f64::NAN]).passed());
    }

    #[test]
    fn lists_of_other_lengths_and_empty_ones_fail() {
        assert!(!Difference::of_floats(&REFERENCE[..3], &REFERENCE, 1.0).passed());
        assert!(!Difference::of_rows(&REFERENCE, &REFERENCE[..3], 2, 1.0).passed());
        assert!(!Difference::of_bounded(&REFERENCE[..1], &[1.0, -2.0], &[1.0, 1.0]).passed());
        assert!(!Difference::of_bounded(&REFERENCE[..1], &[1.0], &[]).passed());
        assert!(!Difference::of_indices(&[1], &[1, 2]).passed());
        assert!(!Difference::of_floats(&[], &[], 1.0).passed());
        assert!(!Difference::of_rows(&[], &[], 2, 1.0).passed());
        assert!(!Difference::of_bounded(&[], &[], &[]).passed());
        assert!(!Difference::of_indices(&[], &[]).passed());
    }

    #[test]
    fn the_worse_of_two_is_the_failing_one_else_the_one_nearer_its_tolerance() {
        let difference = |largest, tolerance| Difference { largest, tolerance };
        for failing in [difference(f64::NAN, 1.0), difference(2.0, 1.0), difference(1e-9, 0.0)] {
            for passing in [difference(0.9, 1.0), Difference::NONE] {
                assert!(!failing.worse(passing).passed());
                assert!(!passing.worse(failing).passed());
            }
        }
        assert_eq!(difference(0.5, 1.0).worse(difference(1e-9, 1e-8)).largest, 0.5);
        assert_eq!(difference(1e-9, 1e-8).worse(difference(0.5, 1.0)).largest, 0.5);
    }
}
