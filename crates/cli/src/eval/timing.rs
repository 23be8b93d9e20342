//! Measures the speed of each model after all images are done, when the machine has no other work.

use tcvit::Result;
use tcvit::cost::Cost;
use tcvit::low_level::gpu::KernelTime;
use tcvit::timing::{Distribution, Rounds, in_turns};

use super::Runner;
use super::batches::Input;
use super::summary::Measured;

/// How often each measurement is repeated. The median counts.
pub const REPEATS: usize = 5;

/// Images per second of each model on one batch, with the models in turns. `None` if there was no batch.
pub fn rates(runners: &[Runner], sample: Option<&(usize, Input)>) -> Result<Vec<Option<f64>>> {
    let Some((images, input)) = sample else { return Ok(vec![None; runners.len()]) };
    let seconds = in_turns(runners, Rounds::exactly(REPEATS), |runner| {
        input.submit(&runner.session)?.wait()?;
        Ok(())
    })?;
    Ok(seconds.into_iter().map(|seconds| Some(*images as f64 / Distribution::of(&seconds).median())).collect())
}

/// Multiply-adds, rate and GPU time of one model.
pub fn measure(runner: &Runner, rate: Option<f64>) -> Result<Measured> {
    let session = &runner.session;
    let condenses = session.plan().condenses() && session.model().context().can_profile();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..if condenses && rate.is_some() { REPEATS } else { 0 } {
        let each = 1e-3 / session.run_size() as f64;
        let all = session.profile()?;
        let sum = |counts: fn(&KernelTime) -> bool| -> f64 {
            all.iter().filter(|time| counts(time)).map(|time| time.nanoseconds * each).sum()
        };
        times[0].push(sum(|time| time.stage == "condense"));
        times[1].push(sum(|_| true));
    }
    let condense = (!times[0].is_empty()).then(|| times.map(|times| Distribution::of(&times).median()).into());
    Ok(Measured {
        name: runner.name.clone(),
        family: runner.family.clone(),
        multiply_adds: Cost::of(session.plan()).total(),
        images_per_second: rate,
        condense,
    })
}
