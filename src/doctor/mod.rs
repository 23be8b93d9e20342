//! Checks of every kernel against its CPU twin, on the adapter at hand: wrong results on some GPU are what users of every
//! peer complain about most. `tcvit doctor` runs a few sizes of each, `tests/kernels/` sweeps many.

mod assemble;
mod assign;
mod assign_lowest;
mod attention;
mod attention_connectivity;
mod attention_mean;
mod attention_mix;
mod attention_powers;
mod bipartite;
mod chain;
mod connectivity;
mod convolve;
mod data;
mod difference;
mod dominance;
mod emission;
mod fuse;
mod key_mean;
mod layer_norm;
mod linear;
mod matrix_product;
mod newton_start;
mod patchify;
mod pool;
mod query_key;
mod resample;
mod score;
mod similarity;
mod softmax;
mod texture;
mod token_max;
mod top_k;
mod trim;
mod uniqueness;

pub(crate) use assign::Use as AssignUse;
pub(crate) use attention::{Use as AttentionUse, Way as AttentionWay};
pub(crate) use attention_mean::Use as MeanUse;
pub(crate) use convolve::Use as ConvolutionUse;
pub use difference::Difference;
pub(crate) use layer_norm::Use as NormUse;
pub(crate) use linear::compare as compare_linear;
pub(crate) use query_key::{Use as ProductsUse, compare_cosines};
pub(crate) use score::Use as ScoreUse;

use crate::error::{Error, Result};
use crate::gpu::{Context, Recorder, download, upload};
use crate::kernels::KERNELS;

/// How one kernel is compared with its twin.
pub struct Check {
    /// The kernel's stem, or that of the variant.
    pub kernel: &'static str,
    /// What the numbers of a size mean, for reports.
    pub dimensions: &'static str,
    /// The sizes that [`run`] covers: small, awkward, and those of a real network.
    pub sizes: &'static [&'static [usize]],
    /// Runs kernel and twin on random data of one size, in every form that its constants and types give the kernel.
    compare: fn(&Context, &[usize], u64) -> Result<Difference>,
}

impl Check {
    /// Kernel and twin at one size.
    pub(crate) fn compare(&self, context: &Context, size: &[usize]) -> Result<Difference> {
        (self.compare)(context, size, 1)
    }

    /// Whether the device has what the kernel needs.
    pub fn runs_on(&self, context: &Context) -> bool {
        KERNELS.iter().filter(|kernel| kernel.name == self.kernel).all(|kernel| context.supports(kernel))
    }
}

/// Every kernel's check, in the order that data flows through them.
pub const CHECKS: &[Check] = &[
    texture::CHECK,
    resample::CHECK,
    convolve::CHECK,
    convolve::SUBGROUP,
    convolve::COOPERATIVE,
    patchify::CHECK,
    assemble::CHECK,
    layer_norm::CHECK,
    layer_norm::SUBGROUP,
    linear::CHECK,
    linear::SUBGROUP,
    linear::TILED,
    linear::COOPERATIVE,
    query_key::CHECK,
    query_key::SUBGROUP,
    query_key::COOPERATIVE,
    softmax::CHECK,
    softmax::SUBGROUP,
    attention_mix::CHECK,
    attention_mix::SUBGROUP,
    attention::CHECK,
    attention::SUBGROUP,
    attention::COOPERATIVE,
    attention_mean::CHECK,
    attention_mean::ROW,
    attention_mean::SUBGROUP,
    attention_mean::COOPERATIVE,
    attention_connectivity::CHECK,
    attention_powers::CHECK,
    key_mean::CHECK,
    key_mean::SUBGROUP,
    dominance::CHECK,
    uniqueness::CHECK,
    similarity::CHECK,
    bipartite::CHECK,
    newton_start::CHECK,
    matrix_product::CHECK,
    connectivity::CHECK,
    score::CHECK,
    score::SUBGROUP,
    top_k::CHECK,
    top_k::SUBGROUP,
    assign::CHECK,
    assign::SUBGROUP,
    assign_lowest::CHECK,
    fuse::CHECK,
    pool::CHECK,
    token_max::CHECK,
    trim::CHECK,
];

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
    /// Whether the kernel is right.
    pub fn passed(&self) -> bool {
        self.outcome.as_ref().is_ok_and(Difference::passed)
    }
}

/// Every check that runs on the device, at each of its sizes. `progress` hears of each finding as it comes.
pub fn run(context: &Context, mut progress: impl FnMut(&Finding)) -> Vec<Finding> {
    let mut findings = Vec::new();
    for check in CHECKS.iter().filter(|check| check.runs_on(context)) {
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

/// A size as the numbers that a check takes apart, none of them zero.
fn dimensions<const D: usize>(size: &[usize]) -> Result<[usize; D]> {
    match size.try_into() {
        Ok(numbers) if !size.contains(&0) => Ok(numbers),
        _ => Err(Error::config("check kernel", format!("{D} dimensions of at least 1"), format!("{size:?}"))),
    }
}

/// Refuses a size in which `number`, called `name`, is more than `most`.
fn at_most(name: &str, number: usize, most: usize) -> Result<()> {
    match number <= most {
        true => Ok(()),
        false => Err(Error::config("check kernel", format!("at most {most} {name}"), number.to_string())),
    }
}

/// Records with `record`, runs it, and waits.
fn execute(context: &Context, record: impl FnOnce(&mut Recorder<'_>) -> Result<()>) -> Result<()> {
    let mut recorder = Recorder::new(context);
    record(&mut recorder)?;
    recorder.finish()?.submit(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_has_one_check_with_sizes_that_fit() {
        let mut checked: Vec<&str> = CHECKS.iter().map(|check| check.kernel).collect();
        let mut kernels: Vec<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
        checked.sort_unstable();
        kernels.sort_unstable();
        assert_eq!(checked, kernels);
        for check in CHECKS {
            let dimensions = check.dimensions.split(", ").count();
            assert!((3..=5).contains(&check.sizes.len()), "{}", check.kernel);
            assert!(check.sizes.iter().all(|size| size.len() == dimensions), "{}", check.kernel);
        }
    }
}
