//! Checks that a system computes the right logits.

use crate::Failure;

/// The largest difference between `found` and `expected`, as a share of the largest of `expected`.
pub fn difference(found: &[f32], expected: &[f32]) -> Result<f32, Failure> {
    if found.len() != expected.len() {
        return Err(format!("got {} logits, expected {}", found.len(), expected.len()).into());
    }
    if let Some(bad) = found.iter().find(|value| !value.is_finite()) {
        return Err(format!("a logit is {bad}").into());
    }
    let largest = expected.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
    let apart = found.iter().zip(expected).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs()));
    Ok(apart / largest)
}

/// [`difference`], or an error if it is above `tolerance`. Without a tolerance, equal logits are the error, because a
/// forward that drops tokens cannot give the same logits as one that keeps them.
pub fn check(found: &[f32], expected: &[f32], tolerance: Option<f32>) -> Result<f32, Failure> {
    let apart = difference(found, expected)?;
    match tolerance {
        Some(tolerance) if apart <= tolerance => Ok(apart),
        Some(tolerance) => {
            Err(format!("logits differ by {apart:.1e} of the largest; {tolerance:.0e} is allowed").into())
        }
        None if apart > 0.0 => Ok(apart),
        None => Err("condensed logits equal those of the full model".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_beyond_the_tolerance_fail() {
        let expected = [1.0, -10.0, 3.0];
        assert!(check(&[1.0, -10.0, 3.005], &expected, Some(1e-3)).is_ok());
        assert!(check(&[1.0, -10.0, 3.02], &expected, Some(1e-3)).is_err());
        assert!(check(&[1.0, f32::NAN, 3.0], &expected, Some(1e-3)).is_err());
        assert!(check(&[1.0, -10.0], &expected, Some(1e-3)).is_err());
        assert!(check(&expected, &expected, None).is_err());
    }
}
