//! Compares every kernel with its CPU reference on the current adapter. `tcvit doctor` runs a few sizes of each kernel,
//! `tests/kernels/` runs many.

use std::fmt;

pub use crate::comparison::{Check, checks};
pub use crate::difference::Difference;
use crate::error::{Error, Result};
use crate::gpu::Context;

impl Check {
    /// Whether the device has all that the kernel needs.
    pub fn runs_on(&self, context: &Context) -> bool {
        context.supports(self.kernel)
    }
}

/// A comparison that is known to fail on some driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedFailure {
    /// The kernel's name.
    pub kernel: &'static str,
    /// The backend on which it fails.
    pub backend: wgpu::Backend,
    /// A part of the driver's name and version, as `tcvit doctor` prints them.
    pub driver: &'static str,
    /// Why it fails, with a reference.
    pub reason: &'static str,
}

/// All known failures. If a comparison passes although a failure is expected, the doctor reports it as wrong, so that
/// no entry stays here longer than its reason.
pub const EXPECTED_FAILURES: &[ExpectedFailure] = &[];

impl ExpectedFailure {
    /// The entry of `table` for `kernel` on the adapter `info`.
    fn find<'t>(table: &'t [Self], kernel: &str, info: &wgpu::AdapterInfo) -> Option<&'t Self> {
        let driver = format!("{} {}", info.driver, info.driver_info);
        table
            .iter()
            .find(|known| known.kernel == kernel && known.backend == info.backend && driver.contains(known.driver))
    }
}

/// One comparison of the doctor.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The kernel's name.
    pub kernel: &'static str,
    /// The size, such as `rows 7, inner 64, columns 10`.
    pub size: String,
    /// The comparison, or the reason why there is none.
    pub outcome: std::result::Result<Difference, String>,
    /// The reason for an expected failure on this adapter, if there is one.
    pub expected_failure: Option<&'static str>,
}

impl Finding {
    /// Whether the kernel gives right results, or fails as expected.
    pub fn passed(&self) -> bool {
        self.outcome.as_ref().is_ok_and(Difference::passed) != self.expected_failure.is_some()
    }

    /// How near the comparison is to failing, as a share of its tolerance. Infinite if it failed.
    pub fn badness(&self) -> f64 {
        match &self.outcome {
            Ok(difference) if difference.passed() => difference.largest / difference.tolerance.max(f64::MIN_POSITIVE),
            _ => f64::INFINITY,
        }
    }
}

impl fmt::Display for Finding {
    /// Writes the outcome in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(difference) if difference.tolerance == 0.0 => {
                write!(f, "{} elements differ, none may differ", difference.largest)?;
            }
            Ok(difference) => {
                write!(f, "differs by {:.1e}, at most {:.1e} allowed", difference.largest, difference.tolerance)?;
            }
            Err(error) => f.write_str(error)?,
        }
        match (self.expected_failure, self.passed()) {
            (Some(reason), true) => write!(f, " (expected here: {reason})"),
            (Some(reason), false) => write!(f, " (it passes, though a failure is expected here: {reason})"),
            (None, _) => Ok(()),
        }
    }
}

/// Runs every comparison that the device can run, at each of its sizes. Calls `progress` after each one.
pub fn run(context: &Context, progress: impl FnMut(&Finding)) -> Vec<Finding> {
    pollster::block_on(run_async(context, progress))
}

/// Like [`run`], as a future. On native targets it blocks the thread that polls it.
pub async fn run_async(context: &Context, mut progress: impl FnMut(&Finding)) -> Vec<Finding> {
    let mut findings = Vec::new();
    for check in checks().filter(|check| check.runs_on(context)) {
        for &size in check.sizes {
            let finding = examine(context, check, size, 1).await;
            progress(&finding);
            findings.push(finding);
        }
    }
    findings
}

/// Compares `kernel` with its reference at `size`, on random data from `seed`.
///
/// # Errors
/// [`Error::Config`] when no kernel has that name or `size` has the wrong number of dimensions.
pub fn check(context: &Context, kernel: &str, size: &[usize], seed: u64) -> Result<Finding> {
    let check = checks().find(|check| check.kernel.name == kernel).ok_or_else(|| {
        let known: Vec<&str> = checks().map(|check| check.kernel.name).collect();
        Error::config("check kernel", format!("one of {known:?}"), kernel)
    })?;
    if size.len() != check.dimensions.split(", ").count() {
        return Err(Error::config("check kernel", format!("a size for {}", check.dimensions), format!("{size:?}")));
    }
    Ok(pollster::block_on(examine(context, check, size, seed)))
}

async fn examine(context: &Context, check: &Check, size: &[usize], seed: u64) -> Finding {
    let named: Vec<String> =
        check.dimensions.split(", ").zip(size).map(|(dimension, n)| format!("{dimension} {n}")).collect();
    let kernel = check.kernel.name;
    Finding {
        kernel,
        size: named.join(", "),
        outcome: (check.compare)(context, size, seed).await.map_err(|error| error.to_string()),
        expected_failure: ExpectedFailure::find(EXPECTED_FAILURES, kernel, context.info()).map(|known| known.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_has_one_check_with_sizes_that_fit() {
        for check in checks() {
            assert_eq!(checks().filter(|other| other.kernel.name == check.kernel.name).count(), 1);
            let dimensions = check.dimensions.split(", ").count();
            assert!((3..=5).contains(&check.sizes.len()), "{}", check.kernel.name);
            assert!(check.sizes.iter().all(|size| size.len() == dimensions), "{}", check.kernel.name);
        }
    }

    #[test]
    fn an_expected_failure_is_of_one_kernel_backend_and_driver_and_an_unexpected_pass_fails() {
        let known = ExpectedFailure {
            kernel: "softmax",
            backend: wgpu::Backend::Vulkan,
            driver: "580.159",
            reason: "a test's reason",
        };
        let mut info = wgpu::AdapterInfo::new(wgpu::DeviceType::DiscreteGpu, wgpu::Backend::Vulkan);
        info.driver_info = "580.159.04".into();
        assert_eq!(ExpectedFailure::find(&[known], "softmax", &info), Some(&known));
        assert_eq!(ExpectedFailure::find(&[known], "linear", &info), None);
        info.backend = wgpu::Backend::Dx12;
        assert_eq!(ExpectedFailure::find(&[known], "softmax", &info), None);
        let finding = |largest, expected_failure| Finding {
            kernel: "softmax",
            size: String::new(),
            outcome: Ok(Difference { largest, tolerance: 1.0 }),
            expected_failure,
        };
        let passes = [0.5, 2.0].map(|largest| [None, Some("reason")].map(|reason| finding(largest, reason).passed()));
        assert_eq!(passes, [[true, false], [false, true]]);
    }
}
