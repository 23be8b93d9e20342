//! Checks of every kernel against its CPU twin, on the adapter at hand: wrong results on some GPU are what users of every
//! peer complain about most. `tcvit doctor` runs a few sizes of each, `tests/kernels/` sweeps many.

mod linear;

use crate::error::{Error, Result};
use crate::gpu::{Context, Recorder, download, upload};

/// How one kernel is compared with its twin.
pub struct Check {
    /// The kernel's stem.
    pub kernel: &'static str,
    /// What the numbers of a size mean, for reports.
    pub dimensions: &'static str,
    /// The sizes that [`run`] covers: small, awkward, and those of a real network.
    pub sizes: &'static [&'static [usize]],
    /// Runs kernel and twin on random data of one size, all variants of the kernel included.
    compare: fn(&Context, &[usize], u64) -> Result<Difference>,
}

/// Every kernel's check.
pub const CHECKS: &[Check] = &[linear::CHECK];

/// How far a kernel's result is from its twin's.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// The largest difference, relative to the largest magnitude of the twin's result; for indices the number that
    /// differ. NaN where a result is NaN and its twin is not.
    pub largest: f64,
    /// The most that rounding explains.
    pub tolerance: f64,
}

/// One line of a doctor's report.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The kernel's stem.
    pub kernel: &'static str,
    /// What was compared, such as `rows 7, inner 64, columns 10`.
    pub size: String,
    /// The comparison, or why there is none.
    pub outcome: std::result::Result<Difference, String>,
}

impl Finding {
    /// Whether the kernel is right. Written so that NaN fails.
    pub fn passed(&self) -> bool {
        matches!(self.outcome, Ok(Difference { largest, tolerance }) if largest <= tolerance)
    }
}

/// Every check at each of its sizes. `progress` hears of each finding as it comes.
pub fn run(context: &Context, mut progress: impl FnMut(&Finding)) -> Vec<Finding> {
    let mut findings = Vec::new();
    for check in CHECKS {
        for &size in check.sizes {
            let finding = examine(context, check, size, 1);
            progress(&finding);
            findings.push(finding);
        }
    }
    findings
}

/// One comparison: `kernel` at `size`, on the data of `seed`.
///
/// # Errors
/// [`Error::Config`] when no check has that name or `size` does not have its dimensions.
pub fn check(context: &Context, kernel: &str, size: &[usize], seed: u64) -> Result<Finding> {
    let check = CHECKS.iter().find(|check| check.kernel == kernel).ok_or_else(|| {
        let known: Vec<&str> = CHECKS.iter().map(|check| check.kernel).collect();
        Error::config("check kernel", format!("one of {known:?}"), kernel)
    })?;
    if size.len() != check.dimensions.split(", ").count() {
        return Err(Error::config("check kernel", format!("a size for {}", check.dimensions), format!("{size:?}")));
    }
    Ok(examine(context, check, size, seed))
}

fn examine(context: &Context, check: &Check, size: &[usize], seed: u64) -> Finding {
    let named: Vec<String> =
        check.dimensions.split(", ").zip(size).map(|(dimension, n)| format!("{dimension} {n}")).collect();
    Finding {
        kernel: check.kernel,
        size: named.join(", "),
        outcome: (check.compare)(context, size, seed).map_err(|error| error.to_string()),
    }
}

/// A size as the numbers that a check takes apart.
fn dimensions<const D: usize>(size: &[usize]) -> Result<[usize; D]> {
    size.try_into().map_err(|_| Error::config("check kernel", format!("{D} dimensions"), format!("{size:?}")))
}

/// Records with `record`, runs it, and waits.
fn execute(context: &Context, record: impl FnOnce(&mut Recorder<'_>) -> Result<()>) -> Result<()> {
    let mut recorder = Recorder::new(context);
    record(&mut recorder)?;
    recorder.finish()?.submit(context)
}

impl Difference {
    /// Largest difference of two lists of numbers, relative to the twin's largest magnitude.
    pub fn of_floats(got: &[f32], twin: &[f32], tolerance: f64) -> Self {
        if got.len() != twin.len() {
            return Self { largest: f64::NAN, tolerance };
        }
        let scale =
            twin.iter().filter(|v| v.is_finite()).fold(f64::MIN_POSITIVE, |most, v| most.max(f64::from(v.abs())));
        let mut largest = 0.0f64;
        for (&got, &twin) in got.iter().zip(twin) {
            if got.to_bits() == twin.to_bits() || (got.is_nan() && twin.is_nan()) {
                continue;
            }
            let difference = (f64::from(got) - f64::from(twin)).abs() / scale;
            if difference.is_nan() {
                return Self { largest: f64::NAN, tolerance };
            }
            largest = largest.max(difference);
        }
        Self { largest, tolerance }
    }

    /// How many of two lists of indices differ; none may.
    pub fn of_indices(got: &[u32], twin: &[u32]) -> Self {
        let differing = got.iter().zip(twin).filter(|(a, b)| a != b).count() + got.len().abs_diff(twin.len());
        Self { largest: differing as f64, tolerance: 0.0 }
    }

    /// The worse of two: the one that fails, else the one nearer its tolerance.
    pub fn worse(self, other: Self) -> Self {
        let rank = |d: &Self| if d.largest.is_nan() { f64::INFINITY } else { d.largest / d.tolerance.max(1e-300) };
        if rank(&other) > rank(&self) { other } else { self }
    }
}
