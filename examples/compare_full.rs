//! How much faster is the condensed model, here? Runs both on one batch, in turns, and prints medians and the ratio.
//!
//! `cargo run --release --example compare_full -- deit_tiny 14 8`: model preset, R, batch.

use std::time::Instant;

use tcvit::cost::Cost;
use tcvit::{Condensation, Context, Model, SessionOptions, VitConfig};

const REPEATS: usize = 5;

fn main() -> tcvit::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let preset = arguments.next().unwrap_or_else(|| "deit_tiny".into());
    let number = |text: Option<String>, default: usize| text.and_then(|t| t.parse().ok()).unwrap_or(default);
    let (drop, batch) = (number(arguments.next(), 14), number(arguments.next(), 8));
    let condensation = Condensation::preset(&arguments.next().unwrap_or_else(|| "paper".into()))?.drop(drop);

    let gpu = Context::blocking()?;
    let config = VitConfig::preset(&preset)?;
    // Time does not depend on the weights' values, so random ones do.
    let model = Model::random(&gpu, &config, 1)?;
    let full = model.session(SessionOptions::new().batch(batch))?;
    let condensed = model.session(SessionOptions::new().batch(batch).condense(condensation))?;
    let pixels = tcvit::random::Random::named("pixels", 1).tensor(batch * 3 * config.image.pow(2), 0.0, 1.5);

    let sessions = [&full, &condensed];
    let mut seconds = [Vec::new(), Vec::new()];
    for round in 0..=REPEATS {
        for (session, seconds) in sessions.iter().zip(&mut seconds) {
            let start = Instant::now();
            session.logits(&pixels)?;
            // The first round compiles and warms up.
            if round > 0 {
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
    }
    let medians = seconds.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[REPEATS / 2]
    });
    let rates = medians.map(|seconds| batch as f64 / seconds);
    let costs = sessions.map(|session| Cost::of(session.plan()).network() as f64 / 1e9);
    let (speedup, ideal) = (rates[1] / rates[0], costs[0] / costs[1]);
    println!("{}: {preset}, batch {batch}, R = {drop}, median of {REPEATS}", gpu.describe());
    println!("full       {:8.2} images/s  {:.2} GMACs", rates[0], costs[0]);
    println!("condensed  {:8.2} images/s  {:.2} GMACs", rates[1], costs[1]);
    println!(
        "speed-up   {speedup:.2}x of {ideal:.2}x that the multiply-adds allow: realised share {:.2}",
        speedup / ideal
    );
    Ok(())
}
