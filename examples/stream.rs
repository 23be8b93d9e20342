//! Measures how much faster a stream is on this device, because it prepares images while the GPU computes. Classifies
//! the same photographs batch after batch, as a stream prepared on the CPU, and as one prepared on the GPU, in turns.
//!
//! `cargo run --release --example stream -- MODEL BATCH PHOTO...`

use std::path::PathBuf;
use std::time::Instant;

use tcvit::low_level::input::open_image;
use tcvit::{Context, ContextOptions, Model, Prediction, Preprocessing, Result, Session, SessionOptions};

const ROUNDS: usize = 5;

/// A way to classify all photographs.
type Way<'a> = &'a dyn Fn() -> Result<Vec<Prediction>>;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(Ok(batch))) = (arguments.next(), arguments.next().map(|batch| batch.parse())) else {
        eprintln!("usage: stream MODEL BATCH PHOTO...");
        return Ok(());
    };
    let photos: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let gpu = Context::open(ContextOptions::new())?;
    let model = Model::load(&gpu, model)?;
    println!("{} photographs in batches of {batch} on {}", photos.len(), gpu.describe());
    let open = |way| model.session(SessionOptions::new().batch(batch).preprocess(way));
    let (cpu, on_gpu) = (open(Preprocessing::Cpu)?, open(Preprocessing::Gpu)?);
    let ways: [(&str, Way<'_>); 3] = [
        ("in turns, cpu", &|| in_turns(&cpu, &photos, batch)),
        ("stream, cpu", &|| cpu.stream(photos.clone())?.collect()),
        ("stream, gpu", &|| on_gpu.stream(photos.clone())?.collect()),
    ];
    let mut seconds = ways.map(|_| Vec::new());
    let expected = in_turns(&cpu, &photos, batch)?;
    for _ in 0..ROUNDS {
        for ((name, way), seconds) in ways.iter().zip(&mut seconds) {
            let start = Instant::now();
            let same = way()? == expected;
            seconds.push(start.elapsed().as_secs_f64());
            if !same {
                println!("{name}: the answers differ");
            }
        }
    }
    for ((name, _), seconds) in ways.iter().zip(&mut seconds) {
        seconds.sort_by(f64::total_cmp);
        println!("{name:15} {:8.1} images/s (median of {ROUNDS})", photos.len() as f64 / seconds[ROUNDS / 2]);
    }
    Ok(())
}

/// Decodes, prepares and computes one batch after the other.
fn in_turns(session: &Session, photos: &[PathBuf], batch: usize) -> Result<Vec<Prediction>> {
    let mut predictions = Vec::new();
    for photos in photos.chunks(batch) {
        let images = photos.iter().map(|path| open_image(path)).collect::<Result<Vec<_>>>()?;
        predictions.extend(session.classify(&images)?);
    }
    Ok(predictions)
}
