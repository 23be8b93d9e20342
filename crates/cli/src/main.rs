//! The command-line program: one file per subcommand, what they share in `options` and `output`.

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

/// Vision Transformers with token condensation on any GPU. Without a subcommand: the demo.
#[derive(Parser)]
#[command(name = "tcvit", version, about, after_help = EXIT_CODES)]
struct Cli {
    /// More about what happens, on standard error; twice for everything. TCVIT_LOG takes a filter.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXIT_CODES: &str =
    "Exit codes: 0 all well, 1 a check failed, 2 bad arguments or input, 3 no adapter or a failing one.";

#[derive(Subcommand)]
enum Command {
    /// Classify photographs: top classes, tokens per block, time.
    Classify(classify::Arguments),
    /// Draw which tokens a photograph keeps, which represent the others, and what they become when fused, block by block.
    Visualize(visualize::Arguments),
    /// Adapters, features, limits, and every kernel against its CPU reference on this adapter.
    Doctor(doctor::Arguments),
    /// Speed, condensed against full: latency, images a second, what of the saved multiply-adds arrives, and GPU time by
    /// kernel.
    Bench(bench::Arguments),
    /// Accuracy, agreement with the full model and speed on a folder of labelled images.
    Eval(eval::Arguments),
    /// The cost model: tokens and multiply-adds per block, and the paper's tables.
    Flops(flops::Arguments),
    /// Classify the bundled photograph with the bundled model, full and condensed.
    Demo(demo::Arguments),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // These show how far they are by themselves.
    let shows_progress = matches!(cli.command, Some(Command::Bench(_) | Command::Eval(_) | Command::Doctor(_)));
    // With a log, first uses are reported in it.
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

/// Quiet unless asked: wgpu's own warnings are for its developers.
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
