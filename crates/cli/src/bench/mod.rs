//! `tcvit bench`: the speed of condensed models against the full model, and how much of the saved multiply-adds they
//! gain.

mod cases;
mod ceiling;
mod chart;
mod gpu_time;
mod measure;
mod origin;
mod result;
mod table;

use std::time::{Duration, Instant};

use clap::Args;
use tcvit::Attention;
use tcvit::low_level::file::write_whole;
use tcvit::low_level::gpu::Precision;
use tcvit::{Error, Result};

use crate::options::{DeviceOptions, OutputFile};
use crate::output::{print, print_json, progress};
use crate::picture::PictureFile;
use cases::Subject;
use measure::{Bench, Effort};
use result::Report;

#[derive(Args)]
pub struct Arguments {
    /// Models: files, folders, owner/name on the Hugging Face hub, random:PRESET for random weights in a published
    /// shape, or bundled.
    #[arg(long, value_name = "PATH|ID,...", value_delimiter = ',', default_value = "bundled,random:deit_tiny")]
    model: Vec<String>,
    /// Take models of the hub only from the cache, as with HF_HUB_OFFLINE=1.
    #[arg(long)]
    offline: bool,
    /// Images in a batch.
    #[arg(long, value_name = "B,...", value_delimiter = ',', default_value = "1,8")]
    batch: Vec<usize>,
    /// Presets to compare: paper, literal, training_free, tome, evit, prune, random [default: the condensation that the
    /// model was tuned for, or training_free if its metadata names none].
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    preset: Vec<String>,
    /// Run each preset with each of these R, tokens dropped in every block [default: about 7 % of them].
    #[arg(long, value_name = "R,...", value_delimiter = ',')]
    drop: Vec<usize>,
    /// Number formats of weights and activations: f32, f16 [default: f16 if the adapter computes with it].
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    precision: Vec<Precision>,
    /// Routes of attention: stored, fused, cooperative [default: the one that is expected to be fastest on the
    /// adapter].
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    attention: Vec<Attention>,
    /// The most timed forwards of each session. There are fewer if time runs out.
    #[arg(long, value_name = "N", default_value_t = 30)]
    repeats: usize,
    /// About how long all timing may take. Each session is timed at least three times, however long that takes.
    #[arg(long, value_name = "SECONDS", default_value_t = 40.0, allow_negative_numbers = true)]
    seconds: f64,
    /// Print GPU time by kernel. JSON always has it.
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    device: DeviceOptions,
    /// Write a Markdown table.
    #[arg(long, value_name = "OUT.md")]
    markdown: Option<OutputFile>,
    /// Draw the speed against the ideal, and GPU time by kernel.
    #[arg(long, value_name = "OUT.png|OUT.svg")]
    picture: Option<PictureFile>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<bool> {
    let effort = effort(arguments)?;
    let subjects = cases::subjects(arguments)?;
    let report = measure(arguments, &subjects, effort)?;
    let table = table::markdown(&report);
    if let Some(OutputFile(path)) = &arguments.markdown {
        write_whole(path, table.as_bytes())?;
    }
    if let Some(PictureFile(path)) = &arguments.picture {
        chart::draw(path, &report)?;
    }
    for failure in &report.failures {
        eprintln!("tcvit: {}, batch {}: {}", failure.subject, failure.batch, failure.error);
    }
    match arguments.json {
        true => print_json(&report)?,
        false => print(&table::text(&report, arguments.profile))?,
    }
    Ok(report.failures.is_empty())
}

fn effort(arguments: &Arguments) -> Result<Effort> {
    let refused =
        |option: &str, expected: &str, got: String| Error::config(format!("option --{option}"), expected, got);
    if !(1..=100_000).contains(&arguments.repeats) {
        return Err(refused("repeats", "1 to 100000", arguments.repeats.to_string()));
    }
    let limit = Duration::try_from_secs_f64(arguments.seconds).ok().filter(|limit| limit.as_secs() < 1 << 20);
    let limit = limit.ok_or_else(|| refused("seconds", "0 to 1048575", arguments.seconds.to_string()))?;
    Ok(Effort { repeats: arguments.repeats, end: Instant::now() + limit })
}

/// Runs all subjects at all batch sizes. If the device refuses a batch, the report says so and the other batches still
/// run. If no batch succeeds, the first refusal is the error.
fn measure(arguments: &Arguments, subjects: &[Subject], effort: Effort) -> Result<Report> {
    let batches = &arguments.batch;
    let bar = progress((subjects.len() * batches.len()) as u64, "{bar:32} {pos}/{len} {wide_msg}");
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut report = Report::default();
    let mut refusal = None;
    for (index, subject) in subjects.iter().enumerate() {
        bar.set_message(subject.name());
        let mut bench = Bench::open(&arguments.device, subject, &mut report)?;
        for (done, &batch) in batches.iter().enumerate() {
            bar.set_message(format!("{}, batch {batch}", subject.name()));
            let left = (subjects.len() - index) * batches.len() - done;
            let outcome = bench.run(batch, effort.share(left), &mut report);
            match outcome {
                Err(error @ (Error::Device { .. } | Error::Limit { .. })) => {
                    report.fail(subject.name(), batch, &error);
                    refusal.get_or_insert(error);
                }
                outcome => outcome?,
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    match refusal {
        Some(error) if report.results.is_empty() => Err(error),
        _ => Ok(report.finish()),
    }
}
