//! The results as a table and as JSON.

use std::fmt::Write;
use std::process::Command;

use serde::Serialize;

use crate::timing::{Method, Spread};

/// All results of one run of the program.
#[derive(Serialize)]
pub struct Report {
    pub date: String,
    pub commit: String,
    pub adapter: String,
    pub warm_up: usize,
    pub repeats: usize,
    pub forwards: usize,
    pub transfers: bool,
    pub cases: Vec<CaseReport>,
}

/// One network at one batch size.
#[derive(Serialize)]
pub struct CaseReport {
    pub model: String,
    pub batch: usize,
    pub drop: usize,
    pub systems: Vec<SystemReport>,
}

/// One system in a case.
#[derive(Serialize)]
pub struct SystemReport {
    pub name: String,
    pub label: String,
    pub device: String,
    pub images_per_second: Option<Spread>,
    /// Images/s relative to tcvit's full forward in the same round.
    pub ratio_to_full: Option<Spread>,
    /// Images/s relative to tcvit's condensed forward in the same round.
    pub ratio_to_condensed: Option<Spread>,
    /// Seconds of the first forward, which also compiles and tunes.
    pub first_forward: f64,
    /// Largest difference of a logit from candle's, as a share of the largest logit.
    pub difference: f32,
    /// Seconds of every timed forward, by round.
    pub seconds: Vec<Option<f64>>,
}

impl Report {
    pub fn new(adapter: String, method: &Method) -> Self {
        let Method { warm_up, repeats, forwards, transfers, .. } = *method;
        Self { date: today(), commit: commit(), adapter, warm_up, repeats, forwards, transfers, cases: Vec::new() }
    }

    /// The facts that hold for every case, as a line of Markdown.
    pub fn heading(&self) -> String {
        format!(
            "{}, {}, commit {}; {} turns after {} to warm up, {} forward{} each, {} transfers. Median (least to most).",
            self.date,
            self.adapter,
            self.commit,
            self.repeats,
            self.warm_up,
            self.forwards,
            if self.forwards == 1 { "" } else { "s" },
            if self.transfers { "with" } else { "without" },
        )
    }
}

impl CaseReport {
    /// The results as a table in Markdown.
    pub fn table(&self) -> String {
        let mut text = format!("\n**{}, batch {}**\n\n", self.model, self.batch);
        text += "| system | images/s | of tcvit full | of tcvit condensed | first forward | logits differ by |\n";
        text += "| --- | --- | --- | --- | --- | --- |\n";
        for system in &self.systems {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {:.1} s | {:.0e} |",
                system.label,
                spread(system.images_per_second),
                spread(system.ratio_to_full),
                spread(system.ratio_to_condensed),
                system.first_forward,
                system.difference
            );
        }
        text
    }
}

fn spread(spread: Option<Spread>) -> String {
    let Some(Spread { median, least, most }) = spread else { return "-".into() };
    // Three digits for numbers of any size.
    let digits = (2 - median.abs().max(1e-9).log10().floor() as i32).clamp(0, 4) as usize;
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

/// The commit of this checkout, with a mark if files differ from it.
fn commit() -> String {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--exclude=*", "--abbrev=10"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    git.output()
        .ok()
        .filter(|output| output.status.success())
        .map_or_else(|| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// Today in UTC, as year-month-day.
fn today() -> String {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    date_of(since.as_secs() / 86_400)
}

/// The date that is `days` days after 1970-01-01. Years start in March here, so that leap days come last.
fn date_of(days: u64) -> String {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + u64::from(month <= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let dates = [(0, "1970-01-01"), (11_016, "2000-02-29"), (19_723, "2024-01-01"), (20_818, "2026-12-31")];
        for (days, date) in dates {
            assert_eq!(date_of(days), date);
        }
    }

    #[test]
    fn spreads_have_three_digits() {
        let of = |median| spread(Some(Spread { median, least: median / 2.0, most: median * 2.0 }));
        assert_eq!(of(1.0), "1.00 (0.50 to 2.00)");
        assert_eq!(of(123.4), "123 (62 to 247)");
        assert_eq!(of(0.0456), "0.0456 (0.0228 to 0.0912)");
        assert_eq!(spread(None), "-");
    }
}
