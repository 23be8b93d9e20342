//! Printing for all subcommands.

use std::io::{ErrorKind, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tcvit::low_level::plan::Plan;
use tcvit::{Error, Result};

/// Prints `text`. It is not an error if the reader of standard output has gone, as with `head`.
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

/// `full`, or the condensation and its R, such as `training_free, R = 5`. If R varies, each R is followed by its number
/// of blocks in a row, or all R are listed.
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
        // If R hardly repeats, a list of all R is shorter.
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

/// Tokens that come into the first block, then those that each block's MLP works on, prefix tokens included.
pub fn tokens(plan: &Plan) -> Vec<usize> {
    let prefix = plan.config.prefix();
    std::iter::once(plan.config.tokens()).chain(plan.blocks.iter().map(|block| prefix + block.kept())).collect()
}

/// [`tokens`] as text.
pub fn tokens_text(plan: &Plan) -> String {
    tokens(plan).iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}

/// A progress bar of `total` steps on standard error, hidden if that is not a terminal. `template` is indicatif's.
pub fn progress(total: u64, template: &str) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template(template);
    // Templates are constants of this program. If one were broken, the default style would be used.
    ProgressBar::with_draw_target(Some(total), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
