//! `tcvit bench`: derived figures, written files, and refused arguments.

use serde_json::Value;

use crate::{json, succeeds, tcvit, text, untuned};

fn figure(value: &Value, path: &str) -> f64 {
    let found = value.pointer(path).unwrap_or_else(|| panic!("no {path} in {value}"));
    found.as_f64().unwrap_or_else(|| panic!("{path} is {found}"))
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs()
}

/// Checks that the derived figures follow from the measured ones.
fn check_figures(result: &Value, full: &Value, ceiling: f64) {
    let (batch, seconds) = (figure(result, "/batch"), figure(result, "/seconds/median"));
    let [low, high] = ["/seconds/lower_quartile", "/seconds/upper_quartile"].map(|name| figure(result, name));
    assert!(low > 0.0 && low <= seconds && seconds <= high && high <= figure(result, "/seconds/p95").max(high));
    assert!(near(figure(result, "/seconds/spread"), (high - low) / seconds));
    assert!(near(figure(result, "/images_per_second"), batch / seconds));
    let flops = 2.0 * figure(result, "/multiply_adds") * batch / figure(result, "/device_seconds/median");
    assert!(near(figure(result, "/flops_per_second"), flops));
    assert!(near(figure(result, "/utilisation"), flops / ceiling));
    match result["batch"].as_u64() {
        Some(1) => assert!(near(figure(result, "/latency_milliseconds/p50"), seconds * 1e3)),
        _ => assert!(result["latency_milliseconds"].is_null()),
    }
    let kernels = result["gpu"]["kernels"].as_array().unwrap();
    let sum = |name: &str, condensing: bool| -> f64 {
        kernels.iter().filter(|k| !condensing || k["condensing"] == true).map(|k| k[name].as_f64().unwrap()).sum()
    };
    let milliseconds = figure(result, "/gpu/milliseconds");
    assert!(near(sum("milliseconds", false), milliseconds) && near(sum("share", false), 1.0));
    assert!((figure(result, "/gpu/condensing_share") - sum("share", true)).abs() <= 1e-9);
    assert!(kernels.iter().any(|kernel| kernel["kernel"].as_str().unwrap().starts_with("layer_norm") && kernel["condensing"] == false));
    if result["condensation"] == "full" {
        assert!(result["gain"].is_null() && figure(result, "/condensing_multiply_adds") == 0.0);
        assert_eq!(sum("dispatches", true), 0.0);
        return;
    }
    let ideal = figure(full, "/multiply_adds") / figure(result, "/multiply_adds");
    // The speed-up is the median of the rounds' ratios. The ratio of the medians lies within the range of these ratios.
    let speedup = figure(result, "/gain/speedup");
    let [least, low, high, most] = ["range/0", "quartiles/0", "quartiles/1", "range/1"]
        .map(|name| figure(result, &format!("/gain/speedup_{name}")));
    assert!(0.0 < least && least <= low && low <= speedup && speedup <= high && high <= most);
    let of_medians = figure(full, "/seconds/median") / seconds;
    assert!(least <= of_medians * 1.000_001 && of_medians <= most * 1.000_001, "{least} {of_medians} {most}");
    assert!(near(figure(result, "/gain/realised_share"), speedup / ideal));
    let device = figure(result, "/gain/device_speedup");
    assert!(near(figure(result, "/gain/device_realised_share"), device / ideal));
    let share = figure(result, "/gpu/condensing_share");
    assert!(share > 0.0 && share < 1.0 && figure(result, "/condensing_multiply_adds") > 0.0);
}

#[test]
fn figures_follow_from_each_other_and_files_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (markdown, picture) = (path("table.md"), path("chart.svg"));
    let [option, model] = &untuned();
    let options = ["bench", option, model, "--batch", "1,2", "--preset", "training_free,prune", "--drop", "0,7"];
    let files = ["--precision", "f32", "--seconds", "0", "--markdown", &markdown, "--picture", &picture, "--json"];
    let report = json(&[&options[..], &files].concat());

    let origin = &report["origin"];
    assert_eq!(origin["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(origin["date"].as_str().unwrap().len(), 10);
    for name in ["adapter", "backend", "driver", "system"] {
        assert!(!origin[name].as_str().unwrap().is_empty(), "{name}");
    }
    let widest = report["results"].as_array().unwrap().iter().map(|result| figure(result, "/seconds/spread"));
    assert!(near(figure(origin, "/widest_spread"), widest.fold(0.0, f64::max)));
    assert_eq!(origin["noisy"], figure(origin, "/widest_spread") > 0.1);
    assert!(figure(&report, "/ceiling/plain_flops_per_second") > 1e6);
    assert!(figure(&report, "/ceiling/copy_bytes_per_second") > 1e6);
    let loaded = figure(&report, "/models/0/open_seconds") + figure(&report, "/models/0/load_seconds");
    assert!(figure(&report, "/models/0/first_answer_seconds") > loaded && loaded > 0.0);
    assert_eq!(report["failures"].as_array().unwrap().len(), 0);

    let results = report["results"].as_array().unwrap();
    let names: Vec<_> =
        results.iter().map(|r| (r["batch"].as_u64().unwrap(), r["condensation"].as_str().unwrap())).collect();
    let of_batch = |batch| [(batch, "full"), (batch, "training_free, R = 7"), (batch, "prune, R = 7")];
    assert_eq!(names, [of_batch(1), of_batch(2)].concat());
    for group in results.chunks(3) {
        for result in group {
            assert_eq!((result["precision"].as_str(), figure(result, "/seconds/count")), (Some("f32"), 3.0));
            check_figures(result, &group[0], figure(&report, "/ceiling/plain_flops_per_second"));
        }
    }

    let table = std::fs::read_to_string(&markdown).unwrap();
    assert_eq!(table.lines().filter(|line| line.starts_with(&format!("| {model} | f32 |"))).count(), 6, "{table}");
    let share = format!("| {:.2} |", figure(&results[1], "/gain/realised_share"));
    assert!(table.contains(&share) && table.contains("| --- |"), "{share} is not in {table}");
    let chart = std::fs::read_to_string(&picture).unwrap();
    for part in ["<svg", "training_free, R = 7", "prune, R = 7", "batch 2", "condensing", "linear", "images/s"] {
        assert!(chart.contains(part), "{part} is not in the picture");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing but the two files");
}

#[test]
fn text_has_every_figure() {
    let out = succeeds(
        &[
            &["bench", "--model", "bundled", "--batch", "2", "--attention", "stored"][..],
            &["--precision", "f32", "--seconds", "0", "--repeats", "2", "--profile"],
        ]
        .concat(),
    );
    for part in [
        "(bundled) (stored), f32",
        "ceiling",
        "batch 2",
        "training_free, R = 5",
        "share",
        "utilisation",
        "first answer",
    ] {
        assert!(out.contains(part), "{part:?} is not in:\n{out}");
    }
    assert!(out.contains("GPU time of a batch, full") && out.contains(" x layer_norm"), "{out}");
    assert!(out.contains(" (condensing)"), "{out}");
}

/// Every command chooses the precision in this way.
#[test]
fn numbers_are_stored_as_the_adapter_prefers_unless_a_precision_is_given() {
    let preferred = tcvit::Context::open(tcvit::ContextOptions::new()).unwrap().preferred_precision().to_string();
    let [option, model] = &untuned();
    for (arguments, expected) in [(&[][..], preferred.as_str()), (&["--precision", "f32"], "f32")] {
        let shortest =
            ["bench", option, model, "--batch", "1", "--drop", "0", "--seconds", "0", "--repeats", "1", "--json"];
        let report = json(&[&shortest, arguments].concat());
        assert_eq!(
            (&report["results"][0]["precision"], &report["models"][0]["precision"]),
            (&expected.into(), &expected.into())
        );
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let cases: [(&[&str], &[&str]); 14] = [
        (&["--model", "nowhere.safetensors"], &["nowhere.safetensors"]),
        (&["--model", "bundled,random:deit_huge"], &["deit_tiny", "deit_huge"]),
        (&["--batch", "0"], &["batch", "1048576", "0"]),
        (&["--batch", "1,few"], &["--batch", "few"]),
        (&["--preset", "best"], &["training_free", "best"]),
        (&["--drop", "8"], &["block 7", "8"]),
        (&["--precision", "f32,f8"], &["f32 or f16", "f8"]),
        (&["--attention", "flash"], &["fused", "flash"]),
        (&["--repeats", "0"], &["--repeats", "0"]),
        (&["--seconds", "-1"], &["--seconds", "-1"]),
        (&["--seconds", "nan"], &["--seconds", "NaN"]),
        (&["--markdown", "no/such/folder/table.md"], &["no folder"]),
        (&["--picture", "chart.jpg"], &[".png or .svg", "jpg"]),
        (&["photo.jpg"], &["photo.jpg"]),
    ];
    for (arguments, texts) in cases {
        let output = tcvit(&[&["bench", "--json"], arguments].concat());
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert_eq!(text(&output.stdout), "", "{arguments:?} prints an answer");
        for part in texts {
            assert!(err.contains(part), "{part:?} is not in: {err}");
        }
    }
    let output = tcvit(&["bench", "--adapter", "no such adapter"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
}
