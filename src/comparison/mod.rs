//! Compares every kernel with its reference on random data, with one file for each operation. The doctor and the tests
//! run these comparisons at many sizes, and [`ways`](crate::ways) runs them before the first use of a way.

mod assemble;
mod assign;
mod assign_lowest;
mod attention;
mod attention_connectivity;
mod attention_mean;
mod attention_mix;
mod bipartite;
mod chain;
mod connectivity;
mod convolve;
mod data;
mod dominance;
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

use std::pin::Pin;

use crate::difference::Difference;
use crate::error::{Error, Result};
use crate::gpu::{Context, Kernel, Recorder, download_async, upload};
use crate::ways::Verified;

/// The checks of each operation, in the order in which data flows through the operations.
static CHECKS: &[&[Check]] = &[
    texture::CHECKS,
    resample::CHECKS,
    convolve::CHECKS,
    patchify::CHECKS,
    assemble::CHECKS,
    layer_norm::CHECKS,
    linear::CHECKS,
    query_key::CHECKS,
    softmax::CHECKS,
    attention_mix::CHECKS,
    attention::CHECKS,
    attention_mean::CHECKS,
    attention_connectivity::CHECKS,
    key_mean::CHECKS,
    dominance::CHECKS,
    uniqueness::CHECKS,
    similarity::CHECKS,
    bipartite::CHECKS,
    newton_start::CHECKS,
    matrix_product::CHECKS,
    connectivity::CHECKS,
    score::CHECKS,
    top_k::CHECKS,
    assign::CHECKS,
    assign_lowest::CHECKS,
    fuse::CHECKS,
    pool::CHECKS,
    token_max::CHECKS,
    trim::CHECKS,
];

/// The check of every kernel of the crate, in the order in which data flows through the kernels.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    CHECKS.iter().copied().flatten()
}

/// A comparison that is running.
pub(crate) type Comparing<'a> = Pin<Box<dyn Future<Output = Result<Difference>> + 'a>>;

/// How one kernel is compared with its reference.
pub struct Check {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// What the numbers of a size mean, for reports.
    pub dimensions: &'static str,
    /// Sizes for the doctor: small, awkward, and those of a real network.
    pub sizes: &'static [&'static [usize]],
    /// Runs the kernel and the reference on random data of one size, with all constants and types that the kernel may
    /// have.
    pub(crate) compare: for<'a> fn(&'a Context, &'a [usize], u64) -> Comparing<'a>,
}

/// Compares every way that runs `kernel`, for each of `calls` that the way takes, until one is wrong. To compile all
/// other pipelines of a wrong kernel would take minutes on a CPU.
async fn compare_ways<O: Verified>(context: &Context, kernel: &Kernel, calls: &[O], seed: u64) -> Result<Difference> {
    let mut worst = None;
    for way in O::ways().iter().filter(|way| way.kernel.name == kernel.name) {
        for call in calls.iter().filter(|call| (way.takes)(context.traits(), call)) {
            let found = call.compare(context, way, seed).await?;
            let so_far = worst.unwrap_or(Difference::NONE).worse(found);
            if !so_far.passed() {
                return Ok(so_far);
            }
            worst = Some(so_far);
        }
    }
    worst
        .ok_or_else(|| Error::limit("check kernel", format!("a call that {} takes", kernel.name), format!("{calls:?}")))
}

/// A size as `D` numbers, none of which is zero.
fn dimensions<const D: usize>(size: &[usize]) -> Result<[usize; D]> {
    match size.try_into() {
        Ok(numbers) if !size.contains(&0) => Ok(numbers),
        _ => Err(Error::config("check kernel", format!("{D} dimensions of at least 1"), format!("{size:?}"))),
    }
}

/// Returns an error if `number`, called `name`, is more than `most`.
fn at_most(name: &str, number: usize, most: usize) -> Result<()> {
    match number <= most {
        true => Ok(()),
        false => Err(Error::config("check kernel", format!("at most {most} {name}"), number.to_string())),
    }
}

/// Runs the dispatches that `record` records.
fn execute(context: &Context, record: impl FnOnce(&mut Recorder<'_>) -> Result<()>) -> Result<()> {
    let mut recorder = Recorder::new(context);
    record(&mut recorder)?;
    recorder.finish()?.submit(context)
}
