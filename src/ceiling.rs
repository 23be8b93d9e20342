//! The highest rates that an adapter reaches, measured when they are needed. The rate of a network is reported as a
//! share of them.

use std::time::{Duration, Instant};

use half::f16;

use crate::error::{Error, Result};
use crate::gpu::{Context, Home, Operation, Placed, Precision, Recorder, Recording, Texels, Types, empty, profile};
use crate::kernels::linear::{self, Bindings, Call, Epilogue, Params};
use crate::random::Random;

/// The best rates that were measured.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Ceilings {
    /// Rate of dense layers in f32, in operations per second. A multiply-add is two operations.
    pub plain: f64,
    /// Rate of dense layers stored in f16 and computed in f32, in operations per second.
    pub half: f64,
    /// Rate of dense layers by cooperative matrices, in operations per second; `None` on an adapter without them.
    pub cooperative: Option<f64>,
    /// Rate of copies from buffer to buffer, in bytes per second. Bytes read and bytes written both count.
    pub copy: f64,
}

/// Inner dimensions and columns of the products that are measured: caches suit some shapes better than others, and
/// large devices need large shapes.
const SHAPES: [[usize; 2]; 4] = [[128, 512], [384, 1536], [1024, 1024], [4096, 4096]];
/// Rows of the smallest and the largest product.
const ROWS: [usize; 2] = [256, 32_768];
/// Seconds that a run must last so that the round trip to the device does not distort its measurement.
const LONG: f64 = 0.02;
/// Measurements of which the median is taken.
const REPEATS: usize = 5;

/// Measures the rates in about `budget`: those of dense layers in small and large networks by every way that the device
/// supports, and those of copies. A time is GPU time if the adapter reports it, and otherwise the time until the result
/// has arrived.
///
/// # Errors
/// Any [`Error`] of recording, submitting and allocating.
pub fn ceilings(context: &Context, budget: Duration) -> Result<Ceilings> {
    let share = budget / 4;
    let cooperative = |way: &Way| way.0.kernel.name == linear::cooperative::KERNEL.name;
    let half = Types::new(Precision::F16, Precision::F16);
    let (matrices, others): (Vec<_>, Vec<_>) = ways(context, half).into_iter().partition(cooperative);
    Ok(Ceilings {
        plain: product(context, share, ways(context, Types::default()))?,
        half: product(context, share, others)?,
        cooperative: match matrices.is_empty() {
            true => None,
            false => Some(product(context, share, matrices)?),
        },
        copy: copy(context, share)?,
    })
}

impl Ceilings {
    /// The highest rate that a network stored in `precision` could reach, in operations per second.
    pub fn of(&self, precision: Precision) -> f64 {
        match precision {
            Precision::F32 => self.plain,
            Precision::F16 => self.cooperative.unwrap_or(0.0).max(self.half),
        }
    }
}

/// The way of a product, and its types.
type Way = (&'static crate::gpu::Way<Call>, Types);

/// Every way for `types` that the device supports, with the weights in every home that a way takes.
fn ways(context: &Context, types: Types) -> Vec<Way> {
    let call = |types| Call { params: Params::new(64, 128, 512), types, epilogue: Epilogue::Store };
    let takes = |way: &crate::gpu::Way<Call>, types| {
        context.supports(way.kernel) && (way.takes)(context.traits(), &call(types))
    };
    let at = |home| Call::ways().iter().map(move |way| (way, types.at(home)));
    Home::ALL.into_iter().flat_map(at).filter(|&(way, types)| takes(way, types)).collect()
}

/// The best rate over shapes and `ways`, in operations per second. The rows are increased until a run lasts [`LONG`].
fn product(context: &Context, budget: Duration, mut ways: Vec<Way>) -> Result<f64> {
    let mut deadline = None;
    let mut best = 0.0f64;
    for [inner, columns] in SHAPES {
        let largest = context.max_binding() as usize / 4 / inner.max(columns);
        let mut rows = ROWS[0];
        // Skip products that would finish too soon to be measured well.
        while best > 0.0 && rows * 4 <= ROWS[1].min(largest) && least_seconds(rows * 4, inner, columns, best) < LONG {
            rows *= 4;
        }
        while rows <= ROWS[1].min(largest) && inner * columns * 4 <= context.max_binding() as usize {
            let params = Params::new(rows, inner, columns);
            let operations = 2.0 * params.cost() as f64;
            let left = deadline.map(|deadline: Instant| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| operations / best * (REPEATS * ways.len()) as f64 > left.as_secs_f64()) {
                return Ok(best);
            }
            let recordings: Vec<Recording> =
                ways.iter().map(|&way| record(context, way, params)).collect::<Result<_>>()?;
            // The budget starts here, after the first pipelines have been compiled.
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + budget);
            warm_up(context, deadline, recordings.first())?;
            let times: Vec<f64> =
                recordings.iter().map(|one| median(deadline, || seconds(context, one))).collect::<Result<_>>()?;
            let shortest = times.iter().copied().fold(f64::INFINITY, f64::min);
            best = best.max(operations / shortest);
            // A way that is far behind at this size will not lead at another. Dropping it leaves more time for larger
            // products.
            let mut times = times.into_iter();
            ways.retain(|_| times.next().is_some_and(|time| time <= 1.5 * shortest));
            if shortest >= LONG {
                break;
            }
            rows *= 4;
        }
    }
    Ok(best)
}

/// Seconds that a product takes at `best` operations per second.
fn least_seconds(rows: usize, inner: usize, columns: usize, best: f64) -> f64 {
    2.0 * Params::new(rows, inner, columns).cost() as f64 / best
}

/// Keeps a GPU busy until its clocks have risen. It idles while buffers are filled, and is up to six times as slow
/// after that.
fn warm_up(context: &Context, deadline: Instant, recording: Option<&Recording>) -> Result<()> {
    const ENOUGH: Duration = Duration::from_millis(100);
    let start = Instant::now();
    if !context.traits().clocks_rise {
        return Ok(());
    }
    while let Some(recording) = recording
        && start.elapsed() < ENOUGH
        && Instant::now() < deadline
    {
        recording.submit(context)?;
        context.wait("measure")?;
    }
    Ok(())
}

/// Records one product in the given way.
fn record(context: &Context, (way, types): Way, params: Params) -> Result<Recording> {
    let (rows, inner, columns) = (params.rows as usize, params.inner4 as usize * 4, params.columns4 as usize * 4);
    let in_buffer = |len: usize| matrix(context, len, types.input, ([len as u32, 1], Home::Buffer));
    let (x, bias) = (in_buffer(rows * inner)?, empty(context, "bias", columns)?);
    let y = empty(context, "y", types.output.words(rows * columns))?;
    let w = matrix(context, inner * columns, types.input, (linear::texels(inner, columns, types.input), types.home))?;
    let mut recorder = Recorder::new(context);
    let bindings = Bindings { x: x.matrix().buffer("ceiling")?, w: w.matrix(), bias: &bias, y: &y, residual: None };
    linear::record(&mut recorder, way, Call { params, types, epilogue: Epilogue::Store }, bindings)?;
    recorder.finish()
}

/// The median of a few measurements, after one that is not counted, since drivers postpone some work until a shader's
/// first run. The median is taken instead of the minimum because a single clock error would otherwise set the result.
fn median(deadline: Instant, measure: impl Fn() -> Result<f64>) -> Result<f64> {
    measure()?;
    let mut seconds = vec![measure()?];
    while seconds.len() < REPEATS && Instant::now() < deadline {
        seconds.push(measure()?);
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2].max(1e-9))
}

/// `len` random numbers, or as many as `texels` hold, which repeat a short block. They are not zeros because an adapter
/// may be faster on zeros.
fn matrix(context: &Context, len: usize, precision: Precision, (texels, home): (Texels, Home)) -> Result<Placed> {
    let values: Vec<f32> = Random::named("ceiling", 1).tensor(65_521, 0.0, 1.0);
    let words = texels.iter().map(|&count| count as usize).product::<usize>() * 4;
    let len = home.of(len, words * (4 / precision.words(4)));
    match precision {
        Precision::F32 => Placed::upload(context, "matrix", &repeated(&values, len), texels, home),
        Precision::F16 => {
            let values: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
            Placed::upload(context, "matrix", &repeated(&values, len), texels, home)
        }
    }
}

/// `len` elements that repeat `block`, filled by copying whole blocks. Filling the largest matrices number by number
/// took as long as the measurement itself.
fn repeated<T: Copy>(block: &[T], len: usize) -> Vec<T> {
    let mut all = Vec::with_capacity(len);
    while all.len() < len && !block.is_empty() {
        all.extend_from_slice(&block[..block.len().min(len - all.len())]);
    }
    all
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

/// The best rate of copies, in bytes per second. The copies in one submission are increased until the cost of
/// submitting is negligible.
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
    // The first run initialises the buffers with zeros, so it is not counted.
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
