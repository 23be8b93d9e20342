//! The command-line program. Each subcommand has a file or folder; `options` and `output` hold what they share.

mod bench;
mod bundled;
mod classify;
mod combinations;
mod demo;
mod doctor;
mod eval;
mod first_use;
mod flops;
mod hub;
mod options;
mod output;
mod picture;
mod visualize;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tcvit::Error;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Runs Vision Transformers on any GPU, in full or with condensed tokens. Without a subcommand, runs the demo.
#[derive(Parser)]
#[command(name = "tcvit", version, about, after_help = EXIT_CODES)]
struct Cli {
    /// Log to standard error. Give it twice for every detail. TCVIT_LOG sets a filter instead, such as tcvit=debug.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXIT_CODES: &str =
    "Exit codes: 0 success, 1 a check failed, 2 bad arguments or input, 3 no adapter or one that failed.";

#[derive(Subcommand)]
enum Command {
    /// Classify photographs: top classes, tokens per block, time.
    Classify(classify::Arguments),
    /// Draw the tokens that each block keeps, the tokens that represent the others, and the fused tokens.
    Visualize(visualize::Arguments),
    /// List adapters, features and limits, and compare every kernel with its CPU reference on this adapter.
    Doctor(doctor::Arguments),
    /// Measure the speed of condensed models against the full one: latency, images per second, the share of the ideal
    /// speed-up that is reached, and GPU time by kernel.
    Bench(bench::Arguments),
    /// Measure accuracy, agreement with the full model and speed on a folder of labelled images.
    Eval(eval::Arguments),
    /// Count tokens and multiply-adds per block, or print two tables of the TC-ViT paper.
    Flops(flops::Arguments),
    /// Classify the bundled photograph with the bundled model, full and condensed.
    Demo(demo::Arguments),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // These commands show their own progress.
    let shows_progress = matches!(cli.command, Some(Command::Bench(_) | Command::Eval(_) | Command::Doctor(_)));
    // With -v, the log reports verifications.
    if shows_progress || cli.verbose > 0 {
        first_use::hide();
    }
    start_logging(cli.verbose);
    let outcome = match cli.command {
        Some(Command::Classify(arguments)) => classify::run(&arguments),
        Some(Command::Visualize(arguments)) => visualize::run(&arguments),
        Some(Command::Doctor(arguments)) => doctor::run(&arguments),
        Some(Command::Bench(arguments)) => bench::run(&arguments),
        Some(Command::Eval(arguments)) => eval::run(&arguments),
        Some(Command::Flops(arguments)) => flops::run(&arguments),
        Some(Command::Demo(arguments)) => demo::run(&arguments),
        None => demo::run(&demo::Arguments::default()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("tcvit: {error}");
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &Error) -> u8 {
    match error {
        Error::NoAdapter { .. } | Error::Device { .. } | Error::Limit { .. } | Error::Shader { .. } => 3,
        _ => 2,
    }
}

/// By default the log has only errors, and none of wgpu's, whose messages are for its developers.
fn start_logging(verbose: u8) {
    let default = match verbose {
        0 => "error,wgpu_hal=off,wgpu_core=off",
        1 => "warn,tcvit=info",
        _ => "info,tcvit=trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("TCVIT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(filter);
    tracing_subscriber::registry().with(log).init();
}
