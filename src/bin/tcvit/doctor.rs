//! `tcvit doctor`

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tcvit::doctor::{CHECKS, Finding, run as check_all};
use tcvit::{Context, Result};

use crate::options::{DeviceOptions, Work};
use crate::output::{print, print_json};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    device: DeviceOptions,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<bool> {
    let adapters = Context::adapters();
    let context = arguments.device.open(Work::Short)?;
    let bar = ProgressBar::new(
        CHECKS.iter().filter(|check| check.runs_on(&context)).map(|check| check.sizes.len() as u64).sum(),
    );
    // The template is a constant of this program; with a broken one the default style does.
    if let Ok(style) = ProgressStyle::with_template("{bar:32} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let findings = check_all(&context, |finding| {
        bar.set_message(finding.kernel);
        bar.inc(1);
    });
    bar.finish_and_clear();
    let failed = findings.iter().filter(|finding| !finding.passed()).count();

    if arguments.json {
        let adapters: Vec<_> = adapters
            .iter()
            .map(|a| {
                json!({
                    "name": a.info.name, "backend": a.info.backend.to_string(), "driver": a.info.driver_info,
                    "type": format!("{:?}", a.info.device_type), "features": format!("{:?}", a.features),
                    "max_storage_binding": a.limits.max_storage_buffer_binding_size,
                    "max_buffer": a.limits.max_buffer_size,
                    "max_workgroup_memory": a.limits.max_compute_workgroup_storage_size,
                })
            })
            .collect();
        let checks: Vec<_> = findings.iter().map(|finding| json!({
            "kernel": finding.kernel, "size": finding.size, "passed": finding.passed(), "outcome": outcome(finding),
        })).collect();
        let skipped: Vec<_> =
            CHECKS.iter().filter(|check| !check.runs_on(&context)).map(|check| check.kernel).collect();
        print_json(&json!({
            "adapters": adapters, "checked": context.describe(), "checks": checks, "failed": failed, "skipped": skipped,
        }))?;
        return Ok(failed == 0);
    }

    let mut out = String::from("adapters\n");
    for (number, adapter) in adapters.iter().enumerate() {
        let (info, limits) = (&adapter.info, &adapter.limits);
        let features = [
            ("f16", wgpu::Features::SHADER_F16),
            ("subgroups", wgpu::Features::SUBGROUP),
            ("timestamps", wgpu::Features::TIMESTAMP_QUERY),
            ("cooperative matrices", wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
        ];
        let has: Vec<&str> =
            features.iter().filter(|(_, f)| adapter.features.contains(*f)).map(|(name, _)| *name).collect();
        out += &format!(
            "  {number}  {} ({}, {:?}, {})\n     {}; binding {} MiB, buffer {} MiB, workgroup memory {} KiB\n",
            info.name,
            info.backend,
            info.device_type,
            info.driver_info,
            if has.is_empty() { "no optional features".to_owned() } else { has.join(", ") },
            limits.max_storage_buffer_binding_size >> 20,
            limits.max_buffer_size >> 20,
            limits.max_compute_workgroup_storage_size >> 10,
        );
    }
    out += &format!("\nkernels against their CPU twins on {}\n", context.describe());
    for check in CHECKS {
        if !check.runs_on(&context) {
            out += &format!("  skip  {:24} skipped: this device lacks what it needs\n", check.kernel);
        }
        let of_kernel: Vec<&Finding> = findings.iter().filter(|finding| finding.kernel == check.kernel).collect();
        let worst = of_kernel.iter().max_by(|a, b| badness(a).total_cmp(&badness(b)));
        if let Some(finding) = worst {
            let verdict = if finding.passed() { "ok  " } else { "FAIL" };
            out += &format!(
                "  {verdict}  {:24} {} sizes; {}: {}\n",
                check.kernel,
                of_kernel.len(),
                finding.size,
                outcome(finding)
            );
        } else {
            out += &format!("  skip  {:24} needs subgroups of one size, of at least 8 lanes\n", check.kernel);
        }
    }
    out += &match failed {
        0 => format!("\nall {} checks passed\n", findings.len()),
        _ => format!("\n{failed} of {} checks FAILED: do not trust results of this adapter\n", findings.len()),
    };
    print(&out)?;
    Ok(failed == 0)
}

/// How near a check is to failing: 1 is at its tolerance, a failed one is infinite.
fn badness(finding: &Finding) -> f64 {
    match &finding.outcome {
        Ok(difference) if finding.passed() => difference.largest / difference.tolerance.max(f64::MIN_POSITIVE),
        _ => f64::INFINITY,
    }
}

fn outcome(finding: &Finding) -> String {
    match &finding.outcome {
        Ok(difference) if difference.tolerance == 0.0 => format!("{} elements differ, none may", difference.largest),
        Ok(difference) => {
            format!("differs by {:.1e}, at most {:.1e} allowed", difference.largest, difference.tolerance)
        }
        Err(error) => error.clone(),
    }
}
