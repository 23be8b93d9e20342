//! A progress line on the terminal for the first run on an adapter, while ways are compiled and verified.

use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::ProgressBar;
use tcvit::ContextOptions;

use crate::output;

static HIDDEN: AtomicBool = AtomicBool::new(false);

/// Hides the line in this run of the program.
pub fn hide() {
    HIDDEN.store(true, Ordering::Relaxed);
}

/// `options` with a progress line on standard error for each verification, if standard error is a terminal.
pub fn observed(options: ContextOptions) -> ContextOptions {
    let line = match HIDDEN.load(Ordering::Relaxed) {
        true => ProgressBar::hidden(),
        false => output::progress(0, "{msg}"),
    };
    options.on_verification(move |verification| {
        show(&line, verification.operation, verification.way, verification.right);
    })
}

/// Shows that `way` is being verified if `right` is `None`. Otherwise removes the line.
fn show(line: &ProgressBar, operation: &str, way: &str, right: Option<bool>) {
    if right.is_some() {
        line.finish_and_clear();
        return;
    }
    line.reset();
    line.set_message(format!("first use of this adapter: verifying {operation}, {way}"));
    line.tick();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_there_while_a_way_is_verified() {
        let line = ProgressBar::hidden();
        for (way, right) in [("octets", true), ("tiled 64", false)] {
            show(&line, "linear", way, None);
            assert!(line.message().ends_with(&format!("verifying linear, {way}")) && !line.is_finished());
            show(&line, "linear", way, Some(right));
            assert!(line.is_finished());
        }
    }
}
