//! The results as text and as Markdown.

use super::gpu_time::GpuTime;
use super::result::{Measured, Report};

/// The cell of a column for a result, if it has one.
type Cell = fn(&Measured) -> Option<String>;

/// The columns after the condensation: their names and their cells.
const COLUMNS: [(&str, Cell); 10] = [
    ("ms", |m| Some(significant(m.seconds.median * 1e3))),
    ("p95", |m| Some(significant(m.seconds.p95 * 1e3))),
    ("device", |m| Some(significant(m.device_seconds?.median * 1e3))),
    ("images/s", |m| Some(significant(m.images_per_second))),
    ("spread", |m| Some(percent(m.seconds.spread))),
    ("speed-up", |m| Some(format!("{:.2}x", m.gain?.speedup))),
    ("ideal", |m| Some(format!("{:.2}x", m.gain?.ideal_speedup))),
    ("share", |m| Some(format!("{:.2}", m.gain?.realised_share))),
    ("utilisation", |m| Some(percent(m.utilisation?))),
    ("condensing", |m| m.gain.and(m.gpu.as_ref()).map(|gpu| percent(gpu.condensing_share))),
];

const LEGEND: &str = "\
ms and p95 are the median and the 95th percentile for a batch, with upload and read-back. Device is the forward alone.
Speed-up is full / condensed, the median of all rounds; ideal is what the network's multiply-adds allow; share is
speed-up / ideal. Utilisation is FLOP/s of the forward alone / ceiling. Condensing is its share of GPU time. Spread is
the distance of the quartiles of ms / their median.
";

/// `value` with at least three significant digits.
pub fn significant(value: f64) -> String {
    let decimals = match value.abs() {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn cells(measured: &Measured) -> impl Iterator<Item = String> {
    COLUMNS.iter().map(|(_, cell)| cell(measured).unwrap_or_else(|| "-".into()))
}

/// The lines above the figures: the program, the machine, the ceilings and the warnings.
fn head(report: &Report) -> Vec<(&'static str, String)> {
    let mut lines = vec![("program", report.origin.program()), ("machine", report.origin.machine())];
    if let Some(ceiling) = report.ceiling {
        let giga = |value: f64| significant(value / 1e9);
        let mut line = format!("plain product {} GFLOP/s", giga(ceiling.plain_flops_per_second));
        if let Some(flops) = ceiling.cooperative_flops_per_second {
            line += &format!(", by cooperative matrices {} GFLOP/s", giga(flops));
        }
        lines.push(("ceiling", format!("{line}, copy {} GB/s", giga(ceiling.copy_bytes_per_second))));
    }
    lines.extend(report.origin.warnings().into_iter().map(|warning| ("beware", warning)));
    lines
}

/// Lines that say how long each model took to its first answer.
fn first_answers(report: &Report) -> impl Iterator<Item = String> {
    report.models.iter().filter_map(|loaded| {
        let (all, open, load) = (loaded.first_answer_seconds?, loaded.open_seconds, loaded.load_seconds);
        let rest = all - open - load;
        Some(format!(
            "{}, {}: {all:.2} s (adapter {open:.2}, weights {load:.2}, session and forward {rest:.2})",
            loaded.model, loaded.precision
        ))
    })
}

/// A group as text: its name, and a row for each result in aligned columns.
fn grid(group: &[Measured]) -> String {
    let Some(first) = group.first() else { return String::new() };
    let split = match first.run_size < first.batch {
        true => format!(", in runs of {}", first.run_size),
        false => String::new(),
    };
    let header = std::iter::once(String::new()).chain(COLUMNS.iter().map(|(name, _)| (*name).to_owned())).collect();
    let mut rows: Vec<Vec<String>> = vec![header];
    rows.extend(group.iter().map(|row| std::iter::once(row.condensation.clone()).chain(cells(row)).collect()));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=COLUMNS.len()).map(width).collect();
    let mut out = format!("\n{}, {}, batch {}{split}\n", first.model, first.precision, first.batch);
    for row in &rows {
        let mut line = format!("{:width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            line += &format!("  {cell:>width$}");
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

/// The report for people. With `profile` it has GPU time by kernel.
pub fn text(report: &Report, profile: bool) -> String {
    let mut out = String::new();
    for (name, line) in head(report) {
        out += &format!("{name:9}{line}\n");
    }
    for group in report.groups() {
        out += &grid(group);
        for result in group.iter().filter(|_| profile) {
            match &result.gpu {
                Some(gpu) => out += &kernels(&result.condensation, gpu),
                None => out += "no GPU time: the adapter has no timestamp queries\n",
            }
        }
    }
    out += "\nfirst answer\n";
    for line in first_answers(report) {
        out += &format!("{line}\n");
    }
    out + "\n" + LEGEND
}

fn kernels(name: &str, gpu: &GpuTime) -> String {
    let mut out = format!("\nGPU time of a batch, {name}: {:.3} ms, median of {}\n", gpu.milliseconds, gpu.profiles);
    for kernel in &gpu.kernels {
        out += &format!(
            "  {:10.3} ms  {:>6}  {:4} x {}{}\n",
            kernel.milliseconds,
            percent(kernel.share),
            kernel.dispatches,
            kernel.kernel,
            if kernel.condensing { " (condensing)" } else { "" }
        );
    }
    out
}

/// The report as a Markdown table.
pub fn markdown(report: &Report) -> String {
    let mut out = String::new();
    for (name, line) in head(report) {
        out += &format!("- {name}: {line}\n");
    }
    for line in first_answers(report) {
        out += &format!("- first answer of {line}\n");
    }
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
    out += &format!("\n| model | precision | batch | condensation | {} |\n", names.join(" | "));
    out += &format!("| --- | --- | ---: | --- |{}\n", " ---: |".repeat(COLUMNS.len()));
    for result in &report.results {
        let Measured { model, precision, batch, condensation, .. } = result;
        let cells: Vec<String> = cells(result).collect();
        let model = model.replace('|', "\\|");
        out += &format!("| {model} | {precision} | {batch} | {condensation} | {} |\n", cells.join(" | "));
    }
    for failure in &report.failures {
        out += &format!("\n{}, batch {}: {}\n", failure.subject, failure.batch, failure.error);
    }
    out + "\n" + LEGEND
}
