//! What a first run on an adapter waits for, shown to whoever looks at a terminal: kernels are compiled, and compared with
//! their twins, before they are used.

use std::fmt::Debug;

use indicatif::ProgressBar;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::output;

/// Where the library says that it compares a kernel, and that it has.
const TARGET: &str = "tcvit::tune::belief";

/// A line on standard error while a kernel is compared.
struct FirstUse(ProgressBar);

/// The layer for all events; it hears those of comparisons only. Invisible where standard error is no terminal, and when
/// `hidden`.
pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(hidden: bool) -> impl Layer<S> {
    let line = if hidden { ProgressBar::hidden() } else { output::progress(0, "{msg}") };
    FirstUse(line).with_filter(Targets::new().with_target(TARGET, LevelFilter::DEBUG))
}

impl<S: Subscriber> Layer<S> for FirstUse {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut comparison = Comparison::default();
        event.record(&mut comparison);
        match comparison {
            Comparison { what: Some(what), ended: false } => {
                self.0.reset();
                self.0.set_message(format!("first use of this adapter: checking {what}"));
                self.0.tick();
            }
            _ => self.0.finish_and_clear(),
        }
    }
}

/// What an event says of one.
#[derive(Default)]
struct Comparison {
    what: Option<String>,
    ended: bool,
}

impl Visit for Comparison {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "what" {
            self.what = Some(value.to_owned());
        }
    }

    fn record_bool(&mut self, field: &Field, _: bool) {
        self.ended |= field.name() == "right";
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_line_is_there_while_a_kernel_is_compared() {
        let line = ProgressBar::hidden();
        let subscriber = tracing_subscriber::registry().with(FirstUse(line.clone()));
        tracing::subscriber::with_default(subscriber, || {
            for what in ["layer_norm subgroup f16", "linear tiled 64"] {
                tracing::debug!(target: TARGET, what, "comparing with its twin");
                assert!(line.message().ends_with(&format!("checking {what}")) && !line.is_finished());
                tracing::debug!(target: TARGET, what, right = true, seconds = 0.5, "compared with its twin");
                assert!(line.is_finished());
            }
        });
    }
}
