//! Runs the same DeiT, with the same weights and the same pixels, in tcvit, burn and candle. Checks that all of them
//! compute the same logits, then times them in turns. See README.md.

mod agreement;
mod case;
mod in_burn;
mod in_candle;
mod in_tcvit;
mod peer;
mod report;
mod timing;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use case::Case;
use clap::Parser;
use peer::{Peer, System};
use report::{CaseReport, Report, SystemReport};
use timing::{Method, Spread};

/// What went wrong, in words.
type Failure = Box<dyn std::error::Error>;

/// Runs the same DeiT in tcvit, burn and candle: checks the logits, then times the systems in turns.
#[derive(Parser)]
struct Options {
    /// Networks: deit_tiny, deit_small, deit_base.
    #[arg(long, value_delimiter = ',', default_value = "deit_tiny")]
    model: Vec<String>,
    /// Images in a batch. Several batch sizes are compared one after the other.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    batch: Vec<usize>,
    /// Systems to compare, in this order.
    #[arg(long, value_delimiter = ',', default_value = "tcvit,tcvit-condensed,burn,burn-plain,candle")]
    systems: Vec<System>,
    /// Timed turns of each system.
    #[arg(long, default_value_t = 9)]
    repeats: usize,
    /// Untimed turns of each system before the timed ones.
    #[arg(long, default_value_t = 2)]
    warm_up: usize,
    /// Forwards in a turn, which are started one after the other and waited for once. Several fill a discrete GPU's
    /// queue.
    #[arg(long, default_value_t = 1)]
    forwards: usize,
    /// Time the upload of pixels and the download of logits too.
    #[arg(long)]
    transfers: bool,
    /// Seconds of timed turns in a case after which a system takes no more turns.
    #[arg(long, default_value_t = 120.0)]
    limit: f64,
    /// The adapter, by its number in tcvit's list or by a part of its name.
    #[arg(long)]
    adapter: Option<String>,
    /// Seed of the weights and pixels.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for weights, pixels and expected logits.
    #[arg(long, default_value = "target/cases", overrides_with = "cases")]
    cases: PathBuf,
    /// Also write all measurements to this file, as JSON.
    #[arg(long, overrides_with = "json")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let method = Method {
        warm_up: options.warm_up,
        repeats: options.repeats.max(1),
        forwards: options.forwards.max(1),
        transfers: options.transfers,
        limit: options.limit,
    };
    let chosen = tcvit::ContextOptions::new();
    let gpu = tcvit::Context::open(match &options.adapter {
        Some(adapter) => chosen.adapter(adapter),
        None => chosen,
    })?;
    let mut report = Report::new(gpu.describe(), &method);
    println!("{}", report.heading());
    for model in &options.model {
        for &batch in &options.batch {
            let case = Case::write(model, batch, options.seed, &options.cases)?;
            let compared = compare(&case, &options.systems, &gpu, &method)?;
            print!("{}", compared.table());
            report.cases.push(compared);
            // The file is written after every case, so that its results are kept if a later case fails.
            if let Some(path) = &options.json {
                std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
            }
        }
    }
    Ok(())
}

/// Checks and times `systems` on one case.
fn compare(case: &Case, systems: &[System], gpu: &tcvit::Context, method: &Method) -> Result<CaseReport, Failure> {
    let reference = logits_of(System::Candle, case, gpu)?;
    let tome = logits_of(System::TcvitTome, case, gpu)?;
    let path = case.write_expected(&[("logits", &reference), ("logits_tome", &tome)])?;
    eprintln!("{}, batch {}: expected logits in {}", case.model, case.batch, path.display());

    let mut peers = Vec::new();
    let mut first = Vec::new();
    for &system in systems {
        let mut peer = named(system, case, system.open(case, gpu))?;
        named(system, case, peer.upload(&case.pixels))?;
        let start = Instant::now();
        named(system, case, peer.forward().and_then(|()| peer.wait()))?;
        first.push(start.elapsed().as_secs_f64());
        for _ in 0..method.warm_up {
            named(system, case, timing::turn(peer.as_mut(), &case.pixels, method))?;
        }
        eprintln!("  {}: first forward {:.1} s, {}", system.label(case), first[first.len() - 1], peer.device());
        peers.push(peer);
    }
    // The logits are checked before and after the timing, so that the timed forwards are right.
    check(systems, case, &mut peers, &reference)?;
    let seconds = timing::rounds(&mut peers, &case.pixels, method)?;
    let differences = check(systems, case, &mut peers, &reference)?;

    let of = |system| systems.iter().position(|other| *other == system).map(|index| seconds[index].as_slice());
    let (full, condensed) = (of(System::Tcvit), of(System::TcvitCondensed));
    let reports = systems.iter().enumerate().map(|(index, system)| SystemReport {
        name: clap::ValueEnum::to_possible_value(system).map(|value| value.get_name().into()).unwrap_or_default(),
        label: system.label(case),
        device: peers[index].device(),
        images_per_second: Spread::of(seconds[index].iter().flatten().map(|time| case.batch as f64 / time)),
        ratio_to_full: full.and_then(|base| Spread::of_ratios(&seconds[index], base)),
        ratio_to_condensed: condensed.and_then(|base| Spread::of_ratios(&seconds[index], base)),
        first_forward: first[index],
        difference: differences[index],
        seconds: seconds[index].clone(),
    });
    Ok(CaseReport { model: case.model.clone(), batch: case.batch, drop: case.drop, systems: reports.collect() })
}

fn logits_of(system: System, case: &Case, gpu: &tcvit::Context) -> Result<Vec<f32>, Failure> {
    let mut peer = named(system, case, system.open(case, gpu))?;
    named(system, case, peer.upload(&case.pixels).and_then(|()| peer.forward()).and_then(|()| peer.download()))
}

/// The difference of each system's last logits from `reference`, or an error if a difference is too large.
fn check(systems: &[System], case: &Case, peers: &mut [Box<dyn Peer>], reference: &[f32]) -> Result<Vec<f32>, Failure> {
    let mut differences = Vec::new();
    for (system, peer) in systems.iter().zip(peers) {
        let found = named(*system, case, peer.download())?;
        differences.push(named(*system, case, agreement::check(&found, reference, system.tolerance()))?);
    }
    Ok(differences)
}

/// Adds the system and the case to an error.
fn named<T>(system: System, case: &Case, result: Result<T, Failure>) -> Result<T, Failure> {
    result.map_err(|error| format!("{}: {}, batch {}: {error}", system.label(case), case.model, case.batch).into())
}
