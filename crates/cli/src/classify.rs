//! `tcvit classify PHOTO...`

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use image::RgbImage;
use serde_json::json;
use tcvit::low_level::input::{load_pixels, open_image};
use tcvit::{Outputs, Prediction, Result, Session, SessionOptions, Trace};

use crate::options::{CondenseOptions, DeviceOptions, ModelOptions, OutputFile, PreprocessOptions, Work};
use crate::output::{describe, print, print_json, tokens, tokens_text};

#[derive(Args)]
pub struct Arguments {
    /// Photographs (JPEG, PNG, WebP, BMP, GIF, TIFF).
    #[arg(value_name = "PHOTO", required_unless_present = "pixels")]
    photos: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    condense: CondenseOptions,
    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    preprocess: PreprocessOptions,
    /// Images in a batch.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// How many classes to list for each image.
    #[arg(long, default_value_t = 5)]
    top: usize,
    /// Classify normalised pixels instead of photographs: a safetensors file with `pixels` [B, 3, H, W] f32.
    #[arg(long, value_name = "IN.safetensors", conflicts_with = "photos")]
    pixels: Option<PathBuf>,
    /// Write logits, features, and the kept and fused tokens of every block to this file.
    #[arg(long, value_name = "OUT.safetensors")]
    trace: Option<OutputFile>,
    /// Also print GPU time by kernel.
    #[arg(long)]
    profile: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// With at least this many photographs, it pays to search for the fastest kernels.
const MANY: usize = 100;

pub fn run(arguments: &Arguments) -> Result<bool> {
    let condensation = arguments.condense.condensation(&arguments.model)?;
    // The input is read before the GPU is set up, so that a wrong file name is reported at once.
    let photos: Vec<RgbImage> =
        arguments.photos.iter().take(arguments.batch).map(|path| open_image(path)).collect::<Result<_>>()?;
    let work = if arguments.photos.len() >= MANY { Work::Long } else { Work::Short };
    let context = arguments.device.open(work)?;
    let model = arguments.model.load(&context)?;
    let options = SessionOptions::new().batch(arguments.batch).condensation(condensation);
    let session = model.session(options.preprocess(arguments.preprocess.preprocess))?;
    let everything = Outputs::logits().features().pooled().trace();
    let wanted = if arguments.trace.is_some() { everything } else { Outputs::logits() };
    let ((trace, predictions), names, seconds) = match &arguments.pixels {
        Some(path) => {
            let pixels = load_pixels(path, model.config().image)?;
            let images = pixels.len() / model.config().pixels();
            let seconds = time(images, || session.logits(&pixels).map(drop))?;
            let names = (0..images).map(|i| format!("{} [{i}]", path.display())).collect();
            let trace = session.run(&pixels, wanted)?;
            let predictions = predictions(&trace, &session);
            ((trace, predictions), names, seconds)
        }
        None => {
            let seconds = time(photos.len(), || session.run_images(&photos, Outputs::logits()).map(drop))?;
            let names = arguments.photos.iter().map(|path| path.display().to_string()).collect();
            (run_photos(arguments, &session, wanted)?, names, seconds)
        }
    };
    if let Some(OutputFile(path)) = &arguments.trace {
        trace.save(path)?;
    }
    let report = Report { arguments, session: &session, names, seconds, trace, predictions };
    if arguments.json {
        report.json()?
    } else {
        report.text()?
    }
    Ok(true)
}

/// Seconds per image in the second run. The first run compiles pipelines on some drivers.
fn time(images: usize, run: impl Fn() -> Result<()>) -> Result<f64> {
    run()?;
    let start = Instant::now();
    run()?;
    Ok(start.elapsed().as_secs_f64() / images.max(1) as f64)
}

/// Predictions of all photographs, and their trace if it is saved. With a trace, all photographs are in memory at once;
/// otherwise only a few batches are.
fn run_photos(arguments: &Arguments, session: &Session, wanted: Outputs) -> Result<(Trace, Vec<Prediction>)> {
    let (config, images) = (session.config(), arguments.photos.len());
    if wanted == Outputs::logits() && config.classes > 0 {
        let predictions = session.stream(arguments.photos.clone())?.collect::<Result<_>>()?;
        let (tokens, width, classes) = (session.plan().last_tokens(), config.width, config.classes);
        let mut trace = Trace::default();
        (trace.images, trace.tokens, trace.width, trace.classes) = (images, tokens, width, classes);
        return Ok((trace, predictions));
    }
    let photos = arguments.photos.iter().map(|path| open_image(path)).collect::<Result<Vec<RgbImage>>>()?;
    let trace = session.run_images(&photos, wanted)?;
    let predictions = predictions(&trace, session);
    Ok((trace, predictions))
}

fn predictions(trace: &Trace, session: &Session) -> Vec<Prediction> {
    let of_image = |logits| Prediction::of_logits(logits, session.config());
    trace.logits.chunks_exact(trace.classes.max(1)).map(of_image).collect()
}

struct Report<'a> {
    arguments: &'a Arguments,
    session: &'a Session,
    names: Vec<String>,
    seconds: f64,
    trace: Trace,
    predictions: Vec<Prediction>,
}

impl Report<'_> {
    fn kernel_times(&self) -> Result<Option<Vec<(String, f64)>>> {
        if !self.arguments.profile {
            return Ok(None);
        }
        let mut sums: Vec<(String, f64)> = Vec::new();
        for time in self.session.profile()? {
            let kernel = time.kernel.to_owned();
            match sums.iter_mut().find(|(name, _)| *name == kernel) {
                Some((_, sum)) => *sum += time.nanoseconds / 1e6,
                None => sums.push((kernel, time.nanoseconds / 1e6)),
            }
        }
        sums.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(Some(sums))
    }

    fn text(&self) -> Result<()> {
        let mut out = String::new();
        for (name, prediction) in self.names.iter().zip(&self.predictions) {
            line(&mut out, name.clone());
            for guess in prediction.top(self.arguments.top) {
                line(&mut out, format!("  {:5.1} %  {}", guess.probability * 100.0, guess.name()));
            }
        }
        if self.trace.classes == 0 {
            let (tokens, width) = (self.trace.tokens, self.trace.width);
            line(
                &mut out,
                format!(
                    "no classification head: {tokens} tokens of {width} features for each image; --trace saves them"
                ),
            );
        }
        let plan = self.session.plan();
        let images = self.trace.images;
        line(&mut out, format!("\nmodel    {}, {}", self.arguments.model.name(), describe(plan)));
        line(&mut out, format!("tokens   {}", tokens_text(plan)));
        let each = self.seconds * 1e3;
        line(&mut out, format!("time     {each:.1} ms an image, {images} in batches of {}", self.session.batch()));
        line(&mut out, format!("adapter  {}", self.session.model().context().describe()));
        if let Some(OutputFile(path)) = &self.arguments.trace {
            line(&mut out, format!("trace    {}", path.display()));
        }
        if let Some(times) = self.kernel_times()? {
            let total: f64 = times.iter().map(|(_, ms)| ms).sum();
            line(&mut out, format!("\nGPU time of one run, {total:.2} ms"));
            for (kernel, ms) in times {
                line(&mut out, format!("  {ms:9.3} ms  {:4.1} %  {kernel}", ms / total * 100.0));
            }
        }
        print(&out)
    }

    fn json(&self) -> Result<()> {
        let predictions = &self.predictions;
        let images: Vec<_> = self
            .names
            .iter()
            .enumerate()
            .map(|(i, name)| json!({ "file": name, "classes": predictions.get(i).map(|p| p.top(self.arguments.top)) }))
            .collect();
        let plan = self.session.plan();
        print_json(&json!({
            "model": self.arguments.model.name(),
            "condensation": describe(plan),
            "tokens": tokens(plan),
            "adapter": self.session.model().context().describe(),
            "batch": self.session.batch(),
            "milliseconds_per_image": self.seconds * 1e3,
            "kernel_milliseconds": self.kernel_times()?.map(|times| times.into_iter().collect::<std::collections::BTreeMap<_, _>>()),
            "images": images,
        }))
    }
}

fn line(out: &mut String, text: String) {
    out.push_str(&text);
    out.push('\n');
}
