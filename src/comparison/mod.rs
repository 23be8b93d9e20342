//! Every kernel compared with its reference on random data, one file for each: the doctor and the tests run these at many
//! sizes, and [`ways`](crate::ways) before the first use of a way.

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

/// The checks of each operation, in the order that data flows through them.
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

/// The check of every kernel of the crate, in the order that data flows through them.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    CHECKS.iter().copied().flatten()
}

/// A comparison under way.
pub(crate) type Comparing<'a> = Pin<Box<dyn Future<Output = Result<Difference>> + 'a>>;

/// How one kernel is compared with its reference.
pub struct Check {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// What the numbers of a size mean, for reports.
    pub dimensions: &'static str,
    /// Sizes for the doctor: small, awkward, and those of a real network.
    pub sizes: &'static [&'static [usize]],
    /// Runs kernel and reference on random data of one size, in every form that constants and types give the kernel.
    pub(crate) compare: for<'a> fn(&'a Context, &'a [usize], u64) -> Comparing<'a>,
}

/// Every way that runs `kernel`, for each of `calls` that it takes, until one is wrong: compiling the other forms of a kernel
/// that is wrong would take minutes on a CPU.
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

/// Runs what `record` records.
fn execute(context: &Context, record: impl FnOnce(&mut Recorder<'_>) -> Result<()>) -> Result<()> {
    let mut recorder = Recorder::new(context);
    record(&mut recorder)?;
    recorder.finish()?.submit(context)
}
