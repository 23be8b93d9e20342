//! What this adapter can do at most, measured here and now: what utilisation is a share of.

use std::time::{Duration, Instant};

use serde::Serialize;
use tcvit::gpu::{Precision, Recorder, Recording, Types, empty, upload};
use tcvit::kernels::linear::{self, Epilogue};
use tcvit::random::Random;
use tcvit::{Context, Result};

/// The best rates that were seen.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ceiling {
    /// Of plain f32 matrix products, in operations a second; a multiply-add is two.
    pub plain_flops_per_second: f64,
    /// Of f16 products by cooperative matrices, where the adapter has them and they were measured.
    pub cooperative_flops_per_second: Option<f64>,
    /// Of copies from buffer to buffer, those read and those written both counted.
    pub copy_bytes_per_second: f64,
}

impl Ceiling {
    /// What a network whose numbers are stored in `precision` could reach.
    pub fn flops_per_second(&self, precision: Precision) -> f64 {
        match (precision, self.cooperative_flops_per_second) {
            (Precision::F16, Some(cooperative)) => cooperative.max(self.plain_flops_per_second),
            _ => self.plain_flops_per_second,
        }
    }
}

/// K and columns of the products: caches like some better than others.
const SHAPES: [[usize; 2]; 3] = [[128, 512], [384, 1536], [1024, 1024]];
/// Rows of the smallest and the largest product.
const ROWS: [usize; 2] = [256, 32_768];
/// A run of at least this length does not measure the way to the device and back.
const LONG: Duration = Duration::from_millis(20);
const REPEATS: usize = 5;
/// More than any cache holds.
const COPIED: u64 = 256 << 20;
/// Copies in one run.
const COPIES: usize = 4;

/// Measures `context`'s adapter.
pub fn measure(context: &Context) -> Result<Ceiling> {
    Ok(Ceiling {
        plain_flops_per_second: product(context)?,
        cooperative_flops_per_second: None,
        copy_bytes_per_second: copy(context)?,
    })
}

/// FLOP/s of the plain product, of as many rows as it takes to keep the device busy.
fn product(context: &Context) -> Result<f64> {
    let mut best = 0.0f64;
    for [inner, columns] in SHAPES {
        let most = ROWS[1].min((context.max_binding() / (4 * inner.max(columns)) as u64) as usize);
        let mut rows = ROWS[0];
        loop {
            let recording = record(context, [rows, inner, columns])?;
            let seconds = shortest(|| {
                recording.submit(context)?;
                context.wait("measure product")
            })?;
            best = best.max(2.0 * (rows * inner * columns) as f64 / seconds);
            if seconds >= LONG.as_secs_f64() || rows * 4 > most {
                break;
            }
            rows *= 4;
        }
    }
    Ok(best)
}

fn record(context: &Context, [rows, inner, columns]: [usize; 3]) -> Result<Recording> {
    // Numbers, not zeros, which some devices multiply with less power and so at a higher clock.
    let w = Random::named("ceiling", 1).tensor(inner * columns, 0.0, 1.0);
    let x = upload(context, "ceiling", &w[..inner].repeat(rows))?;
    let w = upload(context, "ceiling", &w)?;
    let (bias, y) = (empty(context, "ceiling", columns)?, empty(context, "ceiling", rows * columns)?);
    let mut recorder = Recorder::new(context);
    let bindings = linear::Bindings { x: &x, w: &w, bias: &bias, y: &y };
    let (types, params) = (Types::default(), linear::Params::new(rows, inner, columns));
    let variant = tcvit::tune::variant(context, types, &params);
    linear::record(&mut recorder, variant, types, params, Epilogue::Store, bindings)?;
    recorder.finish()
}

fn copy(context: &Context) -> Result<f64> {
    let size = COPIED.min(context.max_binding()) / 4 * 4;
    let buffers = [empty(context, "copy", size as usize / 4)?, empty(context, "copy", size as usize / 4)?];
    let seconds = shortest(|| {
        let mut encoder = context.device().create_command_encoder(&Default::default());
        for index in 0..COPIES {
            encoder.copy_buffer_to_buffer(&buffers[index % 2], 0, &buffers[1 - index % 2], 0, size);
        }
        context.queue().submit([encoder.finish()]);
        context.wait("measure copy")
    })?;
    Ok((2 * COPIES as u64 * size) as f64 / seconds)
}

/// Seconds of the shortest run, after one that is not timed.
fn shortest(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    run()?;
    let mut least = f64::INFINITY;
    for _ in 0..REPEATS {
        let start = Instant::now();
        run()?;
        least = least.min(start.elapsed().as_secs_f64());
    }
    Ok(least)
}
