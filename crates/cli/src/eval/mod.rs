//! `tcvit eval DIR`: accuracy, agreement with the full model, and speed, for any number of condensations in one pass.

mod batches;
mod chart;
mod folder;
mod rows;
mod summary;
mod timing;

use std::collections::VecDeque;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tcvit::{Condensation, Error, Model, Pending, Preprocessing, Result, Session, SessionOptions};

use crate::combinations::combinations;
use crate::options::{ChangeOptions, DeviceOptions, ModelOptions, OutputFile, PreprocessOptions, Work};
use crate::output::{describe, print, print_json, progress};
use crate::picture::PictureFile;
use batches::{Batch, for_each_batch};
use folder::{Folder, Item};
use rows::{Answer, Row, Rows};
use summary::{Measured, Summary};
use timing::{REPEATS, measure, rates};

#[derive(Args)]
pub struct Arguments {
    /// A folder with one folder of images for each class.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    device: DeviceOptions,
    /// Presets to compare: paper, literal, training_free, tome, evit, prune, random [default: the condensation that the
    /// model was tuned for, or training_free if its metadata names none].
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    preset: Vec<String>,
    /// Run each preset with each of these R, tokens dropped in every block [default: about 7 % of them].
    #[arg(long, value_name = "R,...", value_delimiter = ',', conflicts_with = "flops")]
    drop: Vec<usize>,
    /// Run each preset within each of these budgets of multiply-adds: 55% of the full model's, or 0.7G.
    #[arg(long, value_name = "BUDGET,...", value_delimiter = ',')]
    flops: Vec<String>,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    preprocess: PreprocessOptions,
    /// A JSON file with a list of further condensations, each {"preset": ..., option: value, ...}.
    #[arg(long, value_name = "FILE.json")]
    sweep: Option<PathBuf>,
    /// Evaluate only this many images, spread evenly over the classes.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Images in a batch.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// Write a row for each image. If a run is interrupted, the same command continues it.
    #[arg(long, value_name = "OUT.csv")]
    csv: Option<OutputFile>,
    /// Draw accuracy and agreement against multiply-adds.
    #[arg(long, value_name = "OUT.png|OUT.svg")]
    picture: Option<PictureFile>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<bool> {
    let condensations = condensations(arguments)?;
    arguments.model.warn_unless_tuned_for(&condensations)?;
    let config = arguments.model.config()?;
    if config.classes == 0 {
        return Err(refused("a model with a classification head", arguments.model.name()));
    }
    let folder = Folder::open(&arguments.folder, &config, arguments.limit)?;
    let context = arguments.device.open(Work::Long)?;
    let model = arguments.model.load(&context)?;
    let runners = runners(&model, &condensations, arguments.batch, arguments.preprocess.preprocess)?;
    let names: Vec<String> = runners.iter().map(|runner| runner.name.clone()).collect();
    let identity = format!("tcvit eval {} on {}", arguments.model.name(), arguments.folder.display());
    let mut rows = Rows::open(&names, &identity, arguments.csv.as_ref().map(|file| file.0.as_path()))?;
    let way = arguments.preprocess.preprocess;
    let outcome = evaluate(&model, &folder, &runners, &mut rows, arguments.batch, way)?;
    rows.finish(&outcome.rows)?;
    let summaries: Vec<Summary> =
        outcome.measured.iter().enumerate().map(|(index, m)| Summary::new(&outcome.rows, index, m)).collect();
    if let Some(PictureFile(path)) = &arguments.picture {
        chart::draw(path, &summaries, &format!("{}, {} images", arguments.model.name(), outcome.rows.len()))?;
    }
    report(arguments, &folder, &context.describe(), &outcome, &summaries)?;
    Ok(outcome.broken.is_empty())
}

/// Every preset with every amount, then the condensations of the sweep.
fn condensations(arguments: &Arguments) -> Result<Vec<Condensation>> {
    let Arguments { preset, drop, flops, model, change, sweep, .. } = arguments;
    let mut all = match sweep {
        Some(_) if preset.is_empty() => Vec::new(),
        _ => combinations(preset, drop, flops, change, model)?,
    };
    if let Some(path) = sweep {
        all.extend(read_sweep(path)?);
    }
    all.iter().try_for_each(Condensation::validate)?;
    Ok(all)
}

fn read_sweep(path: &PathBuf) -> Result<Vec<Condensation>> {
    let malformed =
        |got: String| Error::file("read sweep", format!("a JSON list of condensations in {}", path.display()), got);
    let text = std::fs::read_to_string(path).map_err(|error| malformed(error.to_string()))?;
    let list: Vec<serde_json::Value> = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    list.iter().map(|item| Condensation::from_json(&item.to_string())).collect()
}

fn refused(expected: &str, got: &str) -> Error {
    Error::config("eval", expected, got)
}

/// A session with its names.
struct Runner {
    name: String,
    family: String,
    session: Session,
}

/// Opens the full model, then each condensation.
fn runners(
    model: &Model,
    condensations: &[Condensation],
    batch: usize,
    preprocessing: Preprocessing,
) -> Result<Vec<Runner>> {
    let all = std::iter::once(None).chain(condensations.iter().map(Some));
    let mut runners: Vec<Runner> = Vec::new();
    for condensation in all {
        let options = SessionOptions::new().batch(batch).condensation(condensation.cloned()).preprocess(preprocessing);
        let session = model.session(options)?;
        let name = describe(session.plan());
        // Two budgets may lead to the same R.
        if runners.iter().all(|runner| runner.name != name) {
            let family = condensation.map_or("full".into(), Condensation::to_string);
            runners.push(Runner { name, family, session });
        }
    }
    Ok(runners)
}

struct Outcome {
    rows: Vec<Row>,
    measured: Vec<Measured>,
    /// Names of images that could not be read, with the reason.
    broken: Vec<(String, String)>,
    /// Images that an earlier run had evaluated.
    resumed: usize,
    /// Images that this run has evaluated.
    timed: usize,
}

/// Batches in flight for every model. While the GPU works on one batch, the next one is decoded and the results of the
/// previous one become rows.
const IN_FLIGHT: usize = 2;

fn evaluate(
    model: &Model,
    folder: &Folder,
    runners: &[Runner],
    rows: &mut Rows,
    batch: usize,
    preprocessing: Preprocessing,
) -> Result<Outcome> {
    let mut results: Vec<Row> = folder.items.iter().filter_map(|item| rows.done(&item.name).cloned()).collect();
    let resumed = results.len();
    let left: Vec<&Item> = folder.items.iter().filter(|item| rows.done(&item.name).is_none()).collect();
    let progress = progress(folder.items.len() as u64, "{bar:40} {pos}/{len} images, {per_sec}, {eta} left");
    progress.set_position(resumed as u64);
    let (mut broken, mut timed, mut sample) = (Vec::new(), 0, None);
    let mut in_flight: VecDeque<(Vec<&Item>, Vec<Pending>)> = VecDeque::new();
    let mut finish = |(items, pending): (Vec<&Item>, Vec<Pending>)| {
        let new = answers(&items, pending, model.config().classes)?;
        progress.inc(items.len() as u64);
        rows.add(&new)?;
        results.extend(new);
        Ok::<(), Error>(())
    };
    for_each_batch(&left, batch, (model.preprocess(), preprocessing), |Batch { items, input, broken: unread }| {
        progress.inc(unread.len() as u64);
        broken.extend(unread.into_iter().map(|(item, why)| (item.name.clone(), why)));
        if items.is_empty() {
            return Ok(());
        }
        timed += items.len();
        let pending = runners.iter().map(|runner| input.submit(&runner.session)).collect::<Result<_>>()?;
        sample.get_or_insert((items.len(), input));
        in_flight.push_back((items, pending));
        match in_flight.len() < IN_FLIGHT {
            true => Ok(()),
            false => in_flight.pop_front().map_or(Ok(()), &mut finish),
        }
    })?;
    in_flight.into_iter().try_for_each(finish)?;
    progress.finish_and_clear();
    if results.is_empty() {
        let why = broken.first().map_or("none", |(_, why)| why.as_str());
        return Err(refused("at least one readable image", why));
    }
    results.sort_by(|a, b| a.name.cmp(&b.name));
    let rates = rates(runners, sample.as_ref())?;
    let measured = runners.iter().zip(rates).map(|(runner, rate)| measure(runner, rate)).collect::<Result<_>>()?;
    Ok(Outcome { rows: results, measured, broken, resumed, timed })
}

/// Waits for the answers of every model to `items`.
fn answers(items: &[&Item], pending: Vec<Pending>, classes: usize) -> Result<Vec<Row>> {
    let logits: Vec<Vec<f32>> = pending.into_iter().map(|pending| Ok(pending.wait()?.logits)).collect::<Result<_>>()?;
    let of_image = |list: &Vec<f32>, image: usize| list[image * classes..(image + 1) * classes].to_vec();
    let row = |(image, item): (usize, &&Item)| {
        let full = of_image(&logits[0], image);
        let answers = logits.iter().map(|list| Answer::new(&of_image(list, image), &full, item.class));
        Row { name: item.name.clone(), class: item.class, answers: answers.collect() }
    };
    Ok(items.iter().enumerate().map(row).collect())
}

fn report(
    arguments: &Arguments,
    folder: &Folder,
    adapter: &str,
    outcome: &Outcome,
    summaries: &[Summary],
) -> Result<()> {
    for (name, why) in &outcome.broken {
        eprintln!("tcvit: skipped {name}: {why}");
    }
    if arguments.json {
        return print_json(&json!({
            "model": arguments.model.name(),
            "folder": arguments.folder,
            "adapter": adapter,
            "images": outcome.rows.len(),
            "resumed": outcome.resumed,
            "timed": outcome.timed,
            "skipped": outcome.broken.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "batch": arguments.batch,
            "models": summaries,
        }));
    }
    let matched = if folder.by_name { "by name" } else { "by order" };
    let mut out = format!(
        "model    {}\nimages   {} of {} in {}, {} classes matched {matched}\nadapter  {adapter}\n",
        arguments.model.name(),
        outcome.rows.len(),
        folder.total,
        arguments.folder.display(),
        folder.classes,
    );
    if outcome.resumed > 0 {
        out += &format!("resumed  {} images of an earlier run\n", outcome.resumed);
    }
    out += &format!("\n{}", summary::table(summaries));
    out += &format!(
        "\nAgreement and KL divergence compare with the full model. Times are for a batch of {}, models in turns,\n\
         median of {REPEATS}. Condensing is GPU time per image, and its share of the forward.\n",
        arguments.batch
    );
    if !outcome.broken.is_empty() {
        out += &format!("{} images could not be read and were skipped.\n", outcome.broken.len());
    }
    print(&out)
}
