//! `tcvit doctor`

use clap::Args;
use serde_json::json;
use tcvit::low_level::doctor::{Finding, check as examine, checks};
use tcvit::low_level::gpu::{AdapterSummary, Internals, Kernel};
use tcvit::{Context, Error, Result};

use crate::options::{DeviceOptions, Work};
use crate::output::{print, print_json, progress};

#[derive(Args)]
#[command(after_help = REQUIREMENTS)]
pub struct Arguments {
    #[command(flatten)]
    device: DeviceOptions,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The environment variable that names required capabilities of the adapter.
const REQUIRE: &str = "TCVIT_REQUIRE";

const REQUIREMENTS: &str = "TCVIT_REQUIRE=cooperative,subgroups: exit with 1 unless the adapter has cooperative \
matrices and subgroups of one size, so that the kernels that need them are checked. One word alone is allowed too.";

/// A capability that some kernels need and some adapters lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Cooperative,
    Subgroups,
}

impl Need {
    const ALL: [Self; 2] = [Self::Cooperative, Self::Subgroups];

    /// Its name in [`REQUIRE`].
    fn word(self) -> &'static str {
        match self {
            Self::Cooperative => "cooperative",
            Self::Subgroups => "subgroups",
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Cooperative => "cooperative matrices of f16 with sums of f32",
            Self::Subgroups => "subgroups of one size of at least 8 threads",
        }
    }

    fn is_met(self, context: &Context) -> bool {
        match self {
            Self::Cooperative => context.traits().tile.is_some(),
            Self::Subgroups => context.traits().has_octets(),
        }
    }

    /// The capabilities that `words` names, separated by commas.
    fn parse(words: &str) -> Result<Vec<Self>> {
        let refused = |word: &str| Error::config(REQUIRE, "cooperative or subgroups, separated by commas", word);
        let words = words.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(|word| Self::ALL.into_iter().find(|need| need.word() == word).ok_or_else(|| refused(word))).collect()
    }
}

pub fn run(arguments: &Arguments) -> Result<bool> {
    let required = Need::parse(&std::env::var(REQUIRE).unwrap_or_default())?;
    let adapters = Context::adapters();
    let context = arguments.device.open(Work::Short)?;
    let findings = match arguments.json {
        true => report_json(&context, &adapters)?,
        false => report(&context, &adapters)?,
    };
    let lacking = required.iter().filter(|need| !need.is_met(&context)).inspect(|need| {
        eprintln!("tcvit: {REQUIRE} asks for {}, which {} does not have", need.describe(), context.describe());
    });
    Ok(lacking.count() == 0 && findings.iter().all(Finding::passed))
}

/// Prints the adapters, then a line for each kernel when its checks end.
fn report(context: &Context, adapters: &[AdapterSummary]) -> Result<Vec<Finding>> {
    let list: String = adapters.iter().enumerate().map(|(number, adapter)| describe(number, adapter)).collect();
    print(&format!("adapters\n{list}\nkernels against their CPU references on {}\n", context.describe()))?;
    let findings = check_all(context, |kernel, outcome| match outcome {
        Outcome::Skipped(reason) => print(&format!("  skip  {:24} {:22} {reason}\n", kernel.name, operation(kernel))),
        Outcome::Checked(findings) => match findings.iter().max_by(|a, b| a.badness().total_cmp(&b.badness())) {
            Some(worst) => {
                let verdict = if findings.iter().all(Finding::passed) { "ok  " } else { "FAIL" };
                let (count, size) = (findings.len(), &worst.size);
                let (name, operation) = (kernel.name, operation(kernel));
                print(&format!("  {verdict}  {name:24} {operation:22} {count} sizes; {size}: {worst}\n"))
            }
            None => Ok(()),
        },
    })?;
    let failed = findings.iter().filter(|finding| !finding.passed()).count();
    print(&match failed {
        0 => format!("\nall {} checks passed\n", findings.len()),
        _ => format!("\n{failed} of {} checks FAILED: do not trust results of this adapter\n", findings.len()),
    })?;
    Ok(findings)
}

/// Prints the report as JSON when all checks have ended.
fn report_json(context: &Context, adapters: &[AdapterSummary]) -> Result<Vec<Finding>> {
    let mut skipped = Vec::new();
    let findings = check_all(context, |kernel, outcome| {
        if let Outcome::Skipped(reason) = outcome {
            skipped.push(json!({ "kernel": kernel.name, "operation": kernel.operation, "reason": reason }));
        }
        Ok(())
    })?;
    let adapter = |a: &AdapterSummary| {
        json!({
            "name": a.info.name, "backend": a.info.backend.to_string(), "driver": a.info.driver_info,
            "type": format!("{:?}", a.info.device_type), "features": format!("{:?}", a.features),
            "max_storage_binding": a.limits.max_storage_buffer_binding_size,
            "max_buffer": a.limits.max_buffer_size,
            "max_workgroup_memory": a.limits.max_compute_workgroup_storage_size,
        })
    };
    let check = |finding: &Finding| {
        let kernel = checks().map(|check| check.kernel).find(|kernel| kernel.name == finding.kernel);
        json!({
            "kernel": finding.kernel, "operation": kernel.and_then(|kernel| kernel.operation), "size": finding.size,
            "passed": finding.passed(), "outcome": finding.to_string(),
        })
    };
    print_json(&json!({
        "adapters": adapters.iter().map(adapter).collect::<Vec<_>>(),
        "checked": context.describe(),
        "checks": findings.iter().map(check).collect::<Vec<_>>(),
        "failed": findings.iter().filter(|finding| !finding.passed()).count(),
        "skipped": skipped,
    }))?;
    Ok(findings)
}

/// The result of a kernel's checks.
enum Outcome<'a> {
    /// The kernel was not checked, for this reason.
    Skipped(String),
    /// The kernel was checked, with these findings.
    Checked(&'a [Finding]),
}

/// Checks every kernel that the device can run. Calls `hear` for each kernel when its checks end.
fn check_all(context: &Context, mut hear: impl FnMut(&Kernel, Outcome<'_>) -> Result<()>) -> Result<Vec<Finding>> {
    let sizes = checks().filter(|check| check.runs_on(context)).map(|check| check.sizes.len() as u64).sum();
    let bar = progress(sizes, "{bar:32} {pos}/{len} {msg}");
    let mut all = Vec::new();
    for check in checks() {
        if !check.runs_on(context) {
            bar.suspend(|| hear(check.kernel, Outcome::Skipped(reason(context, check.kernel))))?;
            continue;
        }
        bar.set_message(check.kernel.name);
        let first = all.len();
        for size in check.sizes {
            all.push(examine(context, check.kernel.name, size, 1)?);
            bar.inc(1);
        }
        bar.suspend(|| hear(check.kernel, Outcome::Checked(&all[first..])))?;
    }
    bar.finish_and_clear();
    Ok(all)
}

/// The operation that `kernel` is a way of, in words. Empty if the operation has no other kernel.
fn operation(kernel: &Kernel) -> String {
    kernel.operation.map_or_else(String::new, |operation| format!("way of {operation}"))
}

/// The reason why the device of `context` does not run `kernel`.
fn reason(context: &Context, kernel: &Kernel) -> String {
    let needs = kernel.features;
    let need = match needs.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
        true => Some(Need::Cooperative),
        false => Some(Need::Subgroups).filter(|_| needs.contains(wgpu::Features::SUBGROUP)),
    };
    match need.filter(|need| !need.is_met(context)) {
        Some(need) => format!("this device has no {}", need.describe()),
        None => {
            let missing: Vec<&str> = (needs - context.traits().features).iter_names().map(|(name, _)| name).collect();
            format!("this device does not have {}", missing.join(", "))
        }
    }
}

/// Two lines that describe an adapter.
fn describe(number: usize, adapter: &AdapterSummary) -> String {
    let (info, limits) = (&adapter.info, &adapter.limits);
    let features = [
        ("f16", wgpu::Features::SHADER_F16),
        ("subgroups", wgpu::Features::SUBGROUP),
        ("timestamps", wgpu::Features::TIMESTAMP_QUERY),
        ("cooperative matrices", wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
    ];
    let has: Vec<&str> =
        features.iter().filter(|(_, feature)| adapter.features.contains(*feature)).map(|(name, _)| *name).collect();
    format!(
        "  {number}  {} ({}, {:?}, {})\n     {}; binding {} MiB, buffer {} MiB, workgroup memory {} KiB\n",
        info.name,
        info.backend,
        info.device_type,
        info.driver_info,
        if has.is_empty() { "no optional features".to_owned() } else { has.join(", ") },
        limits.max_storage_buffer_binding_size >> 20,
        limits.max_buffer_size >> 20,
        limits.max_compute_workgroup_storage_size >> 10,
    )
}

#[cfg(test)]
mod tests {
    use super::Need;

    #[test]
    fn requirements_are_words_between_commas() {
        assert_eq!(Need::parse("").unwrap(), []);
        assert_eq!(Need::parse(" subgroups").unwrap(), [Need::Subgroups]);
        assert_eq!(Need::parse("cooperative, subgroups,").unwrap(), Need::ALL);
        let refusal = Need::parse("cooperative,matrices").unwrap_err().to_string();
        assert!(refusal.contains("TCVIT_REQUIRE") && refusal.contains("matrices"), "{refusal}");
    }
}
