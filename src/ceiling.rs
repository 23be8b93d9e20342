//! What an adapter does at most, measured here and now: the measure of how much of it a network uses.

use std::time::{Duration, Instant};

use half::f16;

use crate::error::{Error, Result};
use crate::gpu::{Context, Precision, Recorder, Recording, empty, profile, upload};
use crate::kernels::linear::{self, Bindings, Epilogue, Params};
use crate::kernels::linear_cooperative::{self, Shape};
use crate::random::Random;

/// The best rates that were seen.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Ceilings {
    /// Of `linear` in f32, in operations a second; a multiply-add is two.
    pub plain: f64,
    /// Of `linear_cooperative`, in operations a second, where the adapter has cooperative matrices.
    pub cooperative: Option<f64>,
    /// Of a copy from buffer to buffer, in bytes a second, those read and those written both counted.
    pub copy: f64,
}

/// Measures for about `budget`: products of square matrices, larger and larger, and copies. GPU time where the adapter
/// tells it, else time until the result is there.
///
/// # Errors
/// [`Error`] as recording, submitting and allocating have them.
pub fn ceilings(context: &Context, budget: Duration) -> Result<Ceilings> {
    let share = budget / 3;
    let plain = product(context, share, Precision::F32, |recorder, params, bindings| {
        let mut recorder = recorder();
        linear::record(&mut recorder, params, Epilogue::Store, bindings)?;
        Ok(vec![recorder.finish()?])
    })?;
    let cooperative = match context.supports(&linear_cooperative::KERNEL) {
        false => None,
        true => Some(product(context, share, Precision::F16, |recorder, params, bindings| {
            let one = |shape| {
                let mut recorder = recorder();
                linear_cooperative::record(&mut recorder, params, Epilogue::Store, Precision::F16, shape, bindings)?;
                recorder.finish()
            };
            Shape::ALL.into_iter().map(one).collect()
        })?),
    };
    Ok(Ceilings { plain, cooperative, copy: copy(context, share)? })
}

/// The best rate of products of square matrices stored in `precision`, over the candidates that `record` makes.
fn product<'c>(
    context: &'c Context,
    budget: Duration,
    precision: Precision,
    record: impl Fn(&dyn Fn() -> Recorder<'c>, Params, Bindings<'_>) -> Result<Vec<Recording>>,
) -> Result<f64> {
    let deadline = Instant::now() + budget;
    let mut best = 0.0f64;
    for side in [256usize, 512, 1024, 2048, 4096, 8192] {
        let operations = 2.0 * (side as f64).powi(3);
        let fits = (side * side * 4) as u64 <= context.max_binding();
        // One run of it must be a small part of what is left.
        let left = deadline.saturating_duration_since(Instant::now()).as_secs_f64();
        if best > 0.0 && (!fits || 4.0 * operations / best > left) {
            break;
        }
        let (x, w) = (matrix(context, side, precision)?, matrix(context, side, precision)?);
        let bias = upload(context, "bias", &vec![0.5f32; side])?;
        let y = empty(context, "y", precision.words(side * side))?;
        let bindings = Bindings { x: &x, w: &w, bias: &bias, y: &y };
        for recording in record(&|| Recorder::new(context), Params::new(side, side, side), bindings)? {
            best = best.max(operations / median(deadline, || seconds(context, &recording))?);
        }
    }
    Ok(best)
}

/// The median of up to seven measurements, after one that is not counted: the first run of a shader pays for what drivers
/// put off until then. Not the shortest, since a clock's slip would become a record.
fn median(deadline: Instant, measure: impl Fn() -> Result<f64>) -> Result<f64> {
    measure()?;
    let mut seconds = vec![measure()?];
    while seconds.len() < 7 && Instant::now() < deadline {
        seconds.push(measure()?);
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2].max(1e-9))
}

/// [side, side] of random numbers, the same few over and over: adapters may be faster on zeros.
fn matrix(context: &Context, side: usize, precision: Precision) -> Result<wgpu::Buffer> {
    let values = Random::named("ceiling", 1).tensor(65_521, 0.0, 1.0);
    let all = values.iter().copied().cycle().take(side * side);
    match precision {
        Precision::F32 => upload(context, "matrix", &all.collect::<Vec<f32>>()),
        Precision::F16 => upload(context, "matrix", &all.map(f16::from_f32).collect::<Vec<f16>>()),
    }
}

fn seconds(context: &Context, recording: &Recording) -> Result<f64> {
    if context.can_profile() {
        let nanoseconds: f64 = profile(context, recording)?.iter().map(|time| time.nanoseconds).sum();
        if nanoseconds > 0.0 {
            return Ok(nanoseconds * 1e-9);
        }
    }
    let start = Instant::now();
    recording.submit(context)?;
    context.wait("measure")?;
    Ok(start.elapsed().as_secs_f64())
}

/// The best rate of copies, of so many in one submission that starting it is nothing beside them.
fn copy(context: &Context, budget: Duration) -> Result<f64> {
    const OP: &str = "measure copies";
    let deadline = Instant::now() + budget;
    let words = ((context.max_binding() / 4) as usize).min(64 << 20);
    let (from, to) = (empty(context, "from", words)?, empty(context, "to", words)?);
    let moved = 2.0 * from.size() as f64;
    let run = |copies: u32| {
        context.wait(OP)?;
        let start = Instant::now();
        context.checked(OP, || {
            let mut encoder = context.device().create_command_encoder(&Default::default());
            for _ in 0..copies {
                encoder.copy_buffer_to_buffer(&from, 0, &to, 0, from.size());
            }
            context.queue().submit([encoder.finish()]);
            Ok(())
        })?;
        context.wait(OP)?;
        Ok::<Duration, Error>(start.elapsed())
    };
    // The first one fills the buffers with zeros.
    run(1)?;
    let mut best = 0.0f64;
    let mut copies = 1u32;
    loop {
        let elapsed = run(copies)?;
        best = best.max(moved * f64::from(copies) / elapsed.as_secs_f64());
        if Instant::now() + elapsed > deadline {
            return Ok(best);
        }
        if elapsed < budget / 16 && copies < 1024 {
            copies *= 2;
        }
    }
}
