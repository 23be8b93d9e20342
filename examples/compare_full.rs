//! Measures how much faster the condensed model is on this device. Runs both models on one batch, in turns, and prints
//! medians and the ratio.
//!
//! `cargo run --release --example compare_full -- deit_tiny 14 8`, with a model preset, R and the batch size. A fourth
//! argument names the condensation's preset.

use tcvit::cost::Cost;
use tcvit::timing::{Distribution, Gain, Rounds, in_turns};
use tcvit::{Condensation, Context, ContextOptions, Model, SessionOptions, VitConfig};

const REPEATS: usize = 5;

fn main() -> tcvit::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let preset = arguments.next().unwrap_or_else(|| "deit_tiny".into());
    let number = |text: Option<String>, default: usize| text.and_then(|t| t.parse().ok()).unwrap_or(default);
    let (drop, batch) = (number(arguments.next(), 14), number(arguments.next(), 8));
    let condensation = Condensation::preset(&arguments.next().unwrap_or_else(|| "paper".into()))?.drop_per_block(drop);

    let gpu = Context::open(ContextOptions::new())?;
    let config = VitConfig::preset(&preset)?;
    // Time does not depend on the weights' values, so random ones suffice.
    let model = Model::random(&gpu, &config, 1)?;
    let full = model.session(SessionOptions::new().batch(batch))?;
    let condensed = model.session(SessionOptions::new().batch(batch).condense(condensation))?;
    let pixels = tcvit::low_level::random::Random::named("pixels", 1).tensor(batch * config.pixels(), 0.0, 1.5);

    let sessions = [&full, &condensed];
    let times = in_turns(&sessions, Rounds::exactly(REPEATS), |session| session.logits(&pixels).map(|_| ()))?;
    let seconds = [0, 1].map(|i| Distribution::of(&times[i]).median());
    let costs = sessions.map(|session| Cost::of(session.plan()).network());
    let gain = Gain::new(&times[0], &times[1], costs);
    println!("{}: {preset}, batch {batch}, R = {drop}, median of {REPEATS}", gpu.describe());
    println!("full       {:8.2} images/s  {:.2} GMACs", batch as f64 / seconds[0], costs[0] as f64 / 1e9);
    println!("condensed  {:8.2} images/s  {:.2} GMACs", batch as f64 / seconds[1], costs[1] as f64 / 1e9);
    println!(
        "speed-up   {:.2}x of {:.2}x that the multiply-adds allow: realised share {:.2}",
        gain.speedup(),
        gain.ideal,
        gain.share()
    );
    Ok(())
}
