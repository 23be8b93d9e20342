//! What subcommands print.

use std::io::{ErrorKind, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tcvit::low_level::plan::Plan;
use tcvit::{Error, Result};

/// Prints `text`. A reader that has gone away, such as `head`, is no error.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::file("print", "to be able to write to standard output", error.to_string()).caused_by(error))
        }
        _ => Ok(()),
    }
}

/// Prints `value` as JSON.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| {
        Error::config("write JSON", "a value that JSON can hold", error.to_string()).caused_by(error)
    })?;
    print(&(text + "\n"))
}

/// `full`, or how and how much: `training_free, R = 5`; with several R, each with its number of blocks in turn.
pub fn describe(plan: &Plan) -> String {
    let Some(condensation) = &plan.condensation else { return "full".into() };
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for block in &plan.blocks {
        match runs.last_mut() {
            Some((drop, count)) if *drop == block.dropped => *count += 1,
            _ => runs.push((block.dropped, 1)),
        }
    }
    let amount = match runs.as_slice() {
        [(drop, _)] => drop.to_string(),
        // What hardly repeats is shorter as a list.
        runs if 2 * runs.len() > plan.blocks.len() => {
            plan.blocks.iter().map(|block| block.dropped.to_string()).collect::<Vec<_>>().join(" ")
        }
        runs => {
            let text = |(index, (drop, count)): (usize, &(usize, usize))| match index {
                0 if *count == 1 => format!("{drop} in 1 block"),
                0 => format!("{drop} in {count} blocks"),
                _ => format!("{drop} in {count}"),
            };
            runs.iter().enumerate().map(text).collect::<Vec<_>>().join(", ")
        }
    };
    format!("{condensation}, R = {amount}")
}

/// Tokens that each block's MLP works on, prefix included, and how the first came in: `65 > 60 55 50`.
pub fn tokens(plan: &Plan) -> Vec<usize> {
    let prefix = plan.config.prefix();
    std::iter::once(plan.config.tokens()).chain(plan.blocks.iter().map(|block| prefix + block.kept())).collect()
}

/// [`tokens`] for people.
pub fn tokens_text(plan: &Plan) -> String {
    tokens(plan).iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}

/// A bar of `total` steps on standard error, invisible where that is not a terminal; `template` is indicatif's.
pub fn progress(total: u64, template: &str) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template(template);
    // Templates are constants of this program; with a broken one the default style does.
    ProgressBar::with_draw_target(Some(total), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
