//! Chooses which way of an operation runs on a device. A session uses a way only after the way has given its
//! reference's results on that device, with the key of the pipeline that will run. This check exists because wrong
//! results on some GPUs are the most common complaint about similar libraries. If the context tunes, it measures the
//! verified ways and takes the fastest. Otherwise it takes the verified way that ranks first.

use std::future::ready;
use std::time::{Duration, Instant};

use crate::difference::Difference;
use crate::error::{Error, Result};
use crate::gpu::{Context, KernelTime, Operation, PipelineKey, Recorder, Traits, Verification, Way, profile_async};

/// The most sizes at which one pipeline is compared.
const SIZES: usize = 4;

/// How often each candidate is timed. The shortest time counts, because nothing makes a kernel faster by accident.
const REPEATS: usize = 3;

/// A candidate replaces the way that ranks first if it takes less than this share of its time.
const CLEARLY: f64 = 0.95;

/// A search leaves out ways whose cost is more than this multiple of the first one's, because they must be compiled
/// too.
const NEAR: f64 = 3.0;

/// The time that all searches of one context may take together. After that, ways are chosen by rank.
const BUDGET: Duration = Duration::from_secs(5);

/// An operation whose ways can be compared with its reference.
pub trait Verified: Operation {
    /// Calls that differ from this one only in their sizes, from small to large, at and around multiples of the part
    /// that one workgroup computes. The caller leaves out samples that run another pipeline.
    fn samples(&self, traits: &Traits) -> Vec<Self>;

    /// Runs `way` and the reference on random data for this call.
    ///
    /// # Errors
    /// Errors of recording, submitting and reading back.
    fn compare(
        &self,
        context: &Context,
        way: &'static Way<Self>,
        seed: u64,
    ) -> impl Future<Output = Result<Difference>>;

    /// The call that stands for this one in searches, so that not every size needs a search. `None` if the operation is
    /// not worth a search.
    fn measured(&self) -> Option<Self> {
        None
    }

    /// Seconds that `way` takes for this call.
    ///
    /// # Errors
    /// Errors of recording and submitting.
    fn seconds(&self, _context: &Context, _way: &'static Way<Self>) -> impl Future<Output = Result<f64>> {
        ready(Err(Error::config(Self::NAME, "an operation that can be measured", "one that cannot")))
    }
}

/// The way for `call` on `context`'s device: the one that an earlier search found, the one that a new search finds if
/// `context` tunes, or the verified way that ranks first.
///
/// # Errors
/// [`Error::Shader`] if no verified way on this device takes the call.
pub fn choose<O: Verified>(context: &Context, call: &O) -> Result<&'static Way<O>> {
    let ranked = ranked(context, call);
    let name = call.measured().map(|measured| format!("fastest {} {measured:?}", O::NAME));
    let remembered = name.as_ref().and_then(|name| context.choices().get(name));
    if let Some(known) = ranked.iter().find(|(_, way)| Some(way.name) == remembered.as_deref())
        && is_verified(context, known.1, call)
    {
        return Ok(known.1);
    }
    let Some(&(cost, default)) = ranked.iter().find(|(_, way)| is_verified(context, way, call)) else {
        let got = format!("{call:?} on {}", context.describe());
        return Err(Error::shader(
            O::NAME,
            "a way that this device can run and that gives the reference's results",
            got,
        ));
    };
    let (Some(name), Some(measured)) = (name, call.measured()) else { return Ok(default) };
    if !context.tunes() || context.tuning_time() > BUDGET {
        return Ok(default);
    }
    let near = ranked.iter().filter(|(other, _)| *other <= NEAR * cost).map(|(_, way)| *way);
    let verified: Vec<_> = near.filter(|way| is_verified(context, way, call)).collect();
    let traits = context.traits();
    let is_known = |way: &&Way<O>| way.is_fallback || context.choices().verdict(&way.key(traits, call)).is_some();
    // If the verification of a candidate is on the agenda, the search waits until the candidate is verified.
    if verified.len() < 2 || !verified.iter().all(is_known) {
        return Ok(default);
    }
    match context.agenda() {
        // The search runs before anything else. The next choice for this call finds its result.
        Some(agenda) => agenda.add(
            name.clone(),
            Box::new(move |context| {
                Box::pin(async move {
                    find_fastest(&context, name, &measured, default, &verified).await;
                })
            }),
        ),
        None => return Ok(pollster::block_on(find_fastest(context, name, &measured, default, &verified))),
    }
    Ok(default)
}

/// Searches for the fastest of `verified` for `measured` and keeps the result under `name`.
async fn find_fastest<O: Verified>(
    context: &Context,
    name: String,
    measured: &O,
    default: &'static Way<O>,
    verified: &[&'static Way<O>],
) -> &'static Way<O> {
    let start = Instant::now();
    let best = search(default, verified, async |way| measured.seconds(context, way).await).await.unwrap_or(default);
    context.spent_tuning(start.elapsed());
    note(context, name, best.name.to_owned());
    best
}

/// The ways that the device of `context` can run for `call` and that are worth it there, sorted by cost.
pub fn ranked<O: Operation>(context: &Context, call: &O) -> Vec<(f64, &'static Way<O>)> {
    let traits = context.traits();
    let takes = |way: &&Way<O>| context.supports(way.kernel) && (way.takes)(traits, call);
    let mut ways: Vec<(f64, &Way<O>)> =
        O::ways().iter().filter(takes).filter_map(|way| Some(((way.cost)(traits, call)?, way))).collect();
    ways.sort_by(|a, b| a.0.total_cmp(&b.0));
    ways
}

/// Whether `way` may run `call` in sessions on this device. The device must be able to run it, and it must either be a
/// fallback or have given its reference's results with the same key. If there is no verdict yet, the way is compared
/// now or put on the agenda.
pub fn is_verified<O: Verified>(context: &Context, way: &'static Way<O>, call: &O) -> bool {
    let traits = context.traits();
    if !context.supports(way.kernel) || !(way.takes)(traits, call) {
        return false;
    }
    let key = way.key(traits, call);
    if way.is_fallback {
        context.allow_fallback(key);
        return true;
    }
    if let Some(known) = context.choices().verdict(&key) {
        return known;
    }
    match context.agenda() {
        Some(agenda) => {
            let (name, call) = (key.to_string(), call.clone());
            agenda.add(
                name,
                Box::new(move |context| {
                    Box::pin(async move {
                        verify(&context, way, &call, &key).await;
                    })
                }),
            );
            true
        }
        None => pollster::block_on(verify(context, way, call, &key)),
    }
}

/// Compares `way` with the reference for the pipeline of `key`, and keeps the verdict.
async fn verify<O: Verified>(context: &Context, way: &'static Way<O>, call: &O, key: &PipelineKey) -> bool {
    let observe = |right| context.observe(&Verification { operation: O::NAME, way: way.name, key, right });
    observe(None);
    let start = Instant::now();
    let right = gives_the_references_results(context, way, call, key).await;
    tracing::debug!(%key, right, seconds = start.elapsed().as_secs_f64(), "compared a way with its reference");
    if !right {
        tracing::warn!(%key, "this way gives wrong results on this device and is not used");
    }
    // If the device is lost, the comparison says nothing about the way.
    if context.healthy("").is_ok() {
        context.choices().set_verdict(key, right);
    }
    observe(Some(right));
    right
}

/// Returns `way` if it may run `call` on this device.
///
/// # Errors
/// [`Error::Shader`] if it may not.
pub fn require<O: Verified>(context: &Context, way: &'static Way<O>, call: &O) -> Result<&'static Way<O>> {
    match is_verified(context, way, call) {
        true => Ok(way),
        false => {
            let expected = format!("{way:?} to give the reference's results on this device");
            Err(Error::shader(O::NAME, expected, format!("{call:?} on {}", context.describe())))
        }
    }
}

/// Runs `way` and the reference at sizes that run the pipeline of `key`. Returns whether all sizes passed for which the
/// device has room, and there was at least one. If the operation has no sample that runs this pipeline, `call` itself
/// is compared.
async fn gives_the_references_results<O: Verified>(
    context: &Context,
    way: &'static Way<O>,
    call: &O,
    key: &PipelineKey,
) -> bool {
    let mut samples = samples(context.traits(), way, call);
    if context.rehearses() {
        return !samples.is_empty();
    }
    if samples.is_empty() {
        samples.push(call.clone());
    }
    let before = context.pipelines().uses(key);
    let mut passed = 0;
    for sample in &samples {
        match sample.compare(context, way, 1).await {
            Ok(difference) if difference.passed() => passed += 1,
            Err(Error::Limit { .. }) => {}
            other => {
                tracing::debug!(%key, ?sample, ?other, "a comparison failed");
                return false;
            }
        }
    }
    // The pipeline of `key` itself must have run, not another one.
    passed > 0 && context.pipelines().uses(key) >= before + passed
}

/// A few of the operation's samples that run the same pipeline as `call`: the smallest, the largest, and some between.
pub fn samples<O: Verified>(traits: &Traits, way: &'static Way<O>, call: &O) -> Vec<O> {
    let key = way.key(traits, call);
    let alike = |sample: &O| (way.takes)(traits, sample) && way.key(traits, sample) == key;
    let all: Vec<O> = call.samples(traits).into_iter().filter(alike).collect();
    match all.len() {
        0..=SIZES => all,
        count => (0..SIZES).map(|at| all[at * (count - 1) / (SIZES - 1)].clone()).collect(),
    }
}

/// Keeps the result of a search under `name`.
pub(crate) fn note(context: &Context, name: String, best: String) {
    tracing::info!(name, best, "found the fastest way");
    context.choices().set(name, best);
}

/// The fastest of `candidates` if it is clearly faster than `default`, or else `default`. Candidates for which the
/// device has no room are left out.
pub(crate) async fn search<T: Copy + PartialEq>(
    default: T,
    candidates: &[T],
    mut seconds: impl AsyncFnMut(T) -> Result<f64>,
) -> Result<T> {
    let mut best = (seconds(default).await? * CLEARLY, default);
    for &candidate in candidates.iter().filter(|&&candidate| candidate != default) {
        match seconds(candidate).await {
            Ok(time) if time < best.0 => best = (time, candidate),
            Ok(_) | Err(Error::Limit { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(best.1)
}

/// Seconds that the dispatches recorded by `record` take, by the device's own clock if it has one.
pub(crate) async fn seconds_of(context: &Context, record: impl Fn(&mut Recorder<'_>) -> Result<()>) -> Result<f64> {
    let mut recorder = Recorder::new(context);
    let repeats = if context.can_profile() { REPEATS + 1 } else { 1 };
    for _ in 0..repeats {
        record(&mut recorder)?;
    }
    let recording = recorder.finish()?;
    if context.can_profile() {
        let times = profile_async(context, &recording).await?;
        let whole = |times: &[KernelTime]| times.iter().map(|time| time.nanoseconds / 1e9).sum::<f64>();
        // The first repeat warms up caches and clocks, so it does not count.
        return Ok(times.chunks(recording.len() / repeats).skip(1).map(whole).fold(f64::INFINITY, f64::min));
    }
    let mut shortest = f64::INFINITY;
    for _ in 0..=REPEATS {
        let start = Instant::now();
        recording.submit(context)?;
        context.done("measure").await?;
        shortest = shortest.min(start.elapsed().as_secs_f64());
    }
    Ok(shortest)
}
