//! The demo: one photograph and one model, full and condensed.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tcvit::cost::Cost;
use tcvit::low_level::input::open_image;
use tcvit::timing::{Distribution, Gain, Rounds, in_turns};
use tcvit::{Prediction, Result, Session, SessionOptions};

use crate::bundled;
use crate::options::{CondenseOptions, DeviceOptions, ModelOptions, Work};
use crate::output::{describe, print, print_json, tokens, tokens_text};

#[derive(Args, Default)]
pub struct Arguments {
    /// A photograph to classify instead of the bundled one.
    #[arg(value_name = "PHOTO")]
    photo: Option<PathBuf>,
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    condense: CondenseOptions,
    #[command(flatten)]
    device: DeviceOptions,
    /// Copies of the photograph in a batch [default: 8].
    #[arg(long)]
    batch: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Timed runs of each session. The demo prints their median.
const REPEATS: usize = 5;

pub fn run(arguments: &Arguments) -> Result<bool> {
    let condensation = arguments.condense.condensation(&arguments.model)?;
    let (photo, name) = match &arguments.photo {
        Some(path) => (open_image(path)?, path.display().to_string()),
        None => (bundled::photo()?, bundled::PHOTO.to_owned()),
    };
    let context = arguments.device.open(Work::Short)?;
    let model = arguments.model.load(&context)?;
    let batch = arguments.batch.unwrap_or(8);
    let pixels = model.preprocess().pixels(&photo)?.repeat(batch);
    let open = |condensation| model.session(SessionOptions::new().batch(batch).condensation(condensation));
    let sessions = [open(None)?, open(condensation)?];

    let mut logits = Vec::new();
    for session in &sessions {
        logits.push(session.logits(&pixels)?);
    }
    let rounds = Rounds { warm_up: 0, ..Rounds::exactly(REPEATS) };
    let times = in_turns(&sessions, rounds, |session| session.logits(&pixels).map(drop))?;
    let milliseconds = [0, 1].map(|i| Distribution::of(&times[i]).median() * 1e3 / batch as f64);
    let classes = model.config().classes;
    let predictions: Vec<Prediction> =
        logits.iter().map(|logits| Prediction::of_logits(&logits[..classes], model.config())).collect();
    let costs = [0, 1].map(|i| Cost::of(sessions[i].plan()));
    let gain = Gain::new(&times[0], &times[1], costs.map(|cost| cost.network()));

    if arguments.json {
        let one = |i: usize| one_json(&sessions[i], &predictions[i], milliseconds[i], costs[i].total() as f64 / 1e6);
        print_json(&json!({
            "photo": name,
            "model": arguments.model.name(),
            "adapter": context.describe(),
            "batch": batch,
            "full": one(0),
            "condensed": one(1),
            "speedup": gain.speedup(),
            "ideal_speedup": gain.ideal,
            "realised_share": gain.share(),
        }))?;
        return Ok(true);
    }
    let mut out = format!(
        "photo    {name}, {} x {}\nmodel    {}\nadapter  {}\n",
        photo.width(),
        photo.height(),
        arguments.model.name(),
        context.describe()
    );
    for (i, session) in sessions.iter().enumerate() {
        let guesses: Vec<String> = predictions[i]
            .top(3)
            .iter()
            .map(|guess| format!("{} {:.1} %", guess.name(), guess.probability * 100.0))
            .collect();
        out += &format!(
            "\n{}\n  {}\n  tokens {}\n  {:.2} ms an image, {:.1} M multiply-adds{}\n",
            describe(session.plan()),
            guesses.join(", "),
            tokens_text(session.plan()),
            milliseconds[i],
            costs[i].total() as f64 / 1e6,
            match costs[i].connectivity {
                0 => String::new(),
                condensing => format!(", {:.1} M of them to condense", condensing as f64 / 1e6),
            }
        );
    }
    out += &format!(
        "\nspeed-up {:.2}x; the network's multiply-adds allow {:.2}x (batch {batch}, median of {REPEATS}, in turns)\n",
        gain.speedup(),
        gain.ideal
    );
    print(&out)?;
    Ok(true)
}

fn one_json(session: &Session, prediction: &Prediction, milliseconds: f64, cost: f64) -> serde_json::Value {
    json!({
        "condensation": describe(session.plan()),
        "classes": prediction.top(5),
        "tokens": tokens(session.plan()),
        "milliseconds_per_image": milliseconds,
        "million_multiply_adds": cost,
    })
}
