//! Commands that succeed.

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tcvit::low_level::doctor::checks;
use tcvit::low_level::gpu::Internals;

use crate::support::{Fixture, relative, repository};
use crate::{json, photo, succeeds, tcvit, text, untuned};

const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Checks classes as every subcommand prints them: in descending order of probability, with labels and valid
/// probabilities.
fn check_classes(classes: &Value, count: usize) {
    let classes = classes.as_array().unwrap();
    assert_eq!(classes.len(), count);
    let probabilities: Vec<f64> = classes.iter().map(|class| class["probability"].as_f64().unwrap()).collect();
    assert!(probabilities.is_sorted_by(|a, b| a >= b), "{probabilities:?}");
    assert!(probabilities.iter().all(|p| (0.0..=1.0).contains(p)), "{probabilities:?}");
    assert!(probabilities.iter().sum::<f64>() <= 1.0 + 1e-5, "{probabilities:?}");
    for class in classes {
        let index = class["index"].as_u64().unwrap() as usize;
        assert_eq!(class["label"], CLASSES[index]);
    }
}

fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let tensor = file.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), Dtype::F32, "{name}");
    tensor.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

#[test]
fn demo_prints_both_models() {
    let demo = json(&["demo", "--json", "--batch", "1"]);
    assert_eq!(demo["batch"], 1);
    assert!(demo["photo"].as_str().unwrap().contains("chelsea"), "{}", demo["photo"]);
    assert!(demo["model"].as_str().unwrap().contains("vit_cifar10_32"), "{}", demo["model"]);
    assert!(!demo["adapter"].as_str().unwrap().is_empty());
    assert!(demo["speedup"].as_f64().unwrap() > 0.0 && demo["ideal_speedup"].as_f64().unwrap() > 1.0);
    for (name, condensed) in [("full", false), ("condensed", true)] {
        let one = &demo[name];
        check_classes(&one["classes"], 5);
        let top: Vec<&str> = (0..3).map(|i| one["classes"][i]["label"].as_str().unwrap()).collect();
        assert!(top.contains(&"cat"), "chelsea is a cat, if only in the first three: {top:?}");
        let tokens: Vec<u64> = one["tokens"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        assert_eq!((tokens.len(), tokens[0]), (9, 65), "8 blocks, 64 patches and a class token");
        assert_eq!(tokens.is_sorted_by(|a, b| a > b), condensed, "{tokens:?}");
        assert!(one["milliseconds_per_image"].as_f64().unwrap() > 0.0);
        assert!(one["million_multiply_adds"].as_f64().unwrap() > 0.0);
        assert_eq!(one["condensation"] == "full", !condensed, "{}", one["condensation"]);
    }
}

#[test]
fn classify_prints_a_trace_of_two_photographs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.safetensors");
    let photos = [photo("chelsea"), photo("rocket")];
    let [option, model] = &untuned();
    let arguments =
        ["classify", &photos[0], &photos[1], option, model, "--json", "--top", "3", "--batch", "2", "--trace"];
    let report = json(&[&arguments[..], &[path.to_str().unwrap(), "--preset", "paper", "--drop", "6"]].concat());
    assert_eq!((report["batch"].as_u64(), report["condensation"].as_str()), (Some(2), Some("paper, R = 6")));
    assert!(report["milliseconds_per_image"].as_f64().unwrap() > 0.0);
    assert!(report["kernel_milliseconds"].is_null());
    let images = report["images"].as_array().unwrap();
    assert_eq!(images.iter().map(|image| image["file"].as_str().unwrap()).collect::<Vec<_>>(), photos);
    images.iter().for_each(|image| check_classes(&image["classes"], 3));

    let bytes = std::fs::read(&path).unwrap();
    let trace = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(trace.tensor("features").unwrap().shape(), [2, 1 + 64 - 8 * 6, 128]);
    assert_eq!(trace.tensor("block.7.kept").unwrap().shape(), [2, 64 - 8 * 6]);
    assert_eq!(trace.tensor("block.7.assigned").unwrap().shape(), [2, 64 - 7 * 6]);
    assert_eq!(trace.tensor("block.0.score").unwrap().shape(), [2, 64]);
    // The printed classes belong to the saved logits.
    for (image, logits) in images.iter().zip(floats(&trace, "logits").chunks_exact(10)) {
        let best = (0..10).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
        assert_eq!(image["classes"][0]["index"], best);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the trace");
}

#[test]
fn pixels_of_another_implementation_give_its_logits() {
    let folder = tempfile::tempdir().unwrap();
    let golden = Fixture::load("bundled");
    let (input, output) = (folder.path().join("in.safetensors"), folder.path().join("out.safetensors"));
    let [height, width] = golden.model.config().image;
    let shape = vec![golden.golden.batch, 3, height, width];
    let pixels: Vec<u8> = golden.pixels.iter().flat_map(|value| value.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(Dtype::F32, shape, &pixels).unwrap();
    std::fs::write(&input, safetensors::serialize([("pixels", view)], None).unwrap()).unwrap();
    // The golden file holds more tensors than `pixels`. They are ignored.
    for input in [input, repository("tests/goldens/bundled.safetensors")] {
        let (from, to, [option, model]) = (input.to_str().unwrap(), output.to_str().unwrap(), &untuned());
        let options = ["--condense", "off", "--precision", "f32", "--trace", to, "--json", option, model];
        let report = json(&[&["classify", "--pixels", from][..], &options].concat());
        assert_eq!(report["condensation"], "full");
        let images = report["images"].as_array().unwrap();
        assert_eq!(images.len(), golden.golden.batch);
        assert_eq!(images[0]["file"], format!("{from} [0]"));
        let bytes = std::fs::read(&output).unwrap();
        let logits = floats(&SafeTensors::deserialize(&bytes).unwrap(), "logits");
        let error = relative(&logits, &golden.floats("full/logits").unwrap());
        assert!(error <= 1e-4, "logits differ by {error:e}");
    }
}

#[test]
fn classify_prints_text() {
    let [option, model] = &untuned();
    let schedule = ["--schedule", "8,8,8,8,8,8,8,7", "--top", "2", option, model];
    let out = succeeds(&[&["classify", &photo("chelsea")][..], &schedule].concat());
    for part in ["chelsea.jpg", " %  frog", "65 57 49 41 33 25 17 9 2", "ms an image", "adapter"] {
        assert!(out.contains(part), "{part:?} is not in:\n{out}");
    }
    assert_eq!(out.matches(" %  ").count(), 2, "two classes:\n{out}");
}

#[test]
fn flops_of_the_paper_are_the_papers() {
    let report = json(&["flops", "--paper", "--json"]);
    let rows = report.as_array().unwrap();
    let column = |name: &str| rows.iter().map(|row| row[name].as_f64().unwrap()).collect::<Vec<_>>();
    // The numbers of Tables 7 and 8, typed from the paper rather than taken from the program.
    let paper = [0.97, 0.89, 0.81, 0.73, 0.65, 0.69, 0.73, 0.76, 0.79, 0.85];
    assert_eq!(column("paper"), paper);
    for ((row, ours), paper) in rows.iter().zip(column("model")).zip(paper) {
        assert!((ours - paper).abs() <= 0.01, "{ours} for the paper's {paper}");
        // At K = 1 there is no squaring to save. At K = 32 the 31 thin products cost more than 5 dense ones.
        let thin = row["thin"].as_f64().unwrap();
        let saves = row["K"].as_u64().is_none_or(|order| (2..=8).contains(&order));
        assert_eq!(thin < ours, saves, "thin {thin}, dense {ours}: {row}");
    }
    let table = succeeds(&["flops", "--paper"]);
    assert!(table.contains("Table 7") && table.contains("Table 8") && table.contains("0.97"), "{table}");
}

#[test]
fn flops_of_a_model_add_up() {
    let report = json(&["flops", "--json", "--model", "random:deit_small", "--preset", "paper", "--drop", "16"]);
    assert_eq!(
        (report["model"].as_str(), report["condensation"].as_str()),
        (Some("random:deit_small"), Some("paper, R = 16"))
    );
    let giga = |name: &str| report[name].as_f64().unwrap() / 1e9;
    assert!((giga("full") - 4.6).abs() < 0.05, "{}", giga("full"));
    assert!((giga("condensed_as_the_paper_counts") - 2.3).abs() < 0.05, "{}", report);
    let parts: f64 = report["parts"].as_object().unwrap().values().map(|part| part.as_f64().unwrap()).sum();
    assert_eq!(parts, report["condensed"].as_f64().unwrap());
    let blocks = report["blocks"].as_array().unwrap();
    assert_eq!((blocks.len(), &blocks[11]["patches"], &blocks[0]["dropped"]), (12, &20.into(), &16.into()));
    assert!(succeeds(&["flops"]).contains("GMACs"));
    assert_eq!(json(&["flops", "--json", "--condense", "off"])["condensation"], "full");
}

#[test]
fn another_image_size_has_more_tokens() {
    let report = json(&["flops", "--json", "--model", "random:deit_tiny", "--image", "384", "--condense", "off"]);
    assert_eq!(report["blocks"][0]["patches"], 24 * 24);
    let chelsea = photo("chelsea");
    let report = json(&["classify", &chelsea, "--json", "--image", "40", "--condense", "off"]);
    assert_eq!(report["tokens"][0], 101);
    let classes = report["images"][0]["classes"].as_array().unwrap();
    assert!(classes.iter().take(3).any(|class| class["label"] == "cat"), "as at 32 pixels: {classes:?}");
}

#[test]
fn help_and_version_need_nothing() {
    for subcommand in ["bench", "classify", "demo", "doctor", "flops", "visualize"] {
        assert!(succeeds(&["--help"]).contains(subcommand));
        assert!(succeeds(&[subcommand, "--help"]).contains("--json"));
    }
    assert!(succeeds(&["--help"]).contains("Exit codes"));
    assert_eq!(succeeds(&["--version"]).trim(), concat!("tcvit ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn verbose_speaks_on_standard_error_only() {
    let output = tcvit(&["classify", &photo("chelsea"), "--json", "-v"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(serde_json::from_slice::<Value>(&output.stdout).is_ok(), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("model loaded"), "{}", text(&output.stderr));
}

/// The doctor must find one changed line in a copy of the shaders.
#[test]
fn doctor_finds_a_broken_shader() {
    let folder = tempfile::tempdir().unwrap();
    copy(&repository("shaders"), folder.path());
    let linear = folder.path().join("block/linear.wgsl");
    let source = std::fs::read_to_string(&linear).unwrap();
    let broken = source.replace("a.x * w0 + a.y * w1", "a.x * w0 - a.y * w1");
    assert_ne!(source, broken, "the line that this test breaks is gone: break another");
    std::fs::write(&linear, broken).unwrap();
    let output = tcvit(&["doctor", "--json", "--shaders", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["failed"].as_u64().unwrap() > 0);
    let skipped = report["skipped"].as_array().unwrap();
    assert!(
        skipped.iter().all(|skipped| skipped["kernel"].is_string() && skipped["reason"].is_string()),
        "{skipped:?}"
    );
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["passed"].as_bool().unwrap(), check["kernel"] != "linear", "{check}");
    }
}

/// Runs `tcvit doctor` with TCVIT_REQUIRE set to `words`.
fn doctor_requiring(words: &str, arguments: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tcvit"));
    command.arg("doctor").args(arguments).env("NODEVICE_SELECT", "1").env_remove("TCVIT_LOG");
    command.env("TCVIT_CACHE", "").env("TCVIT_REQUIRE", words).output().unwrap()
}

/// A capability that the device lacks is named for each kernel that needs it. It is a failure only if it is required.
#[test]
fn doctor_gives_every_kernel_one_line_and_what_it_skips_its_true_reason() {
    let context = tcvit::Context::open(tcvit::ContextOptions::new()).unwrap();
    let has_cooperative = context.traits().tile.is_some();
    let output = doctor_requiring("cooperative", &[]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(if has_cooperative { 0 } else { 1 }), "{err}");
    assert_eq!(err.contains("TCVIT_REQUIRE asks for cooperative matrices"), !has_cooperative, "{err}");
    let parts = ["adapters\n", "\nkernels against", "checks passed"];
    let places = parts.map(|part| out.find(part).unwrap_or_else(|| panic!("{part}: {out}")));
    assert!(places.is_sorted(), "{out}");
    for kernel in checks().map(|check| check.kernel) {
        let is_of_kernel = |line: &&str| line.split_whitespace().nth(1) == Some(kernel.name);
        let lines: Vec<&str> = out[places[1]..].lines().filter(is_of_kernel).collect();
        let [line] = lines[..] else { panic!("not one line about {}: {lines:?}", kernel.name) };
        assert!(kernel.operation.is_none_or(|operation| line.contains(&format!(" way of {operation} "))), "{line}");
        assert_eq!(line.trim_start().starts_with("ok "), context.supports(kernel), "{line}");
        if !context.supports(kernel) {
            let is_cooperative = kernel.features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX);
            let reason = if is_cooperative { "no cooperative matrices" } else { "no subgroups of one size" };
            assert!(line.trim_start().starts_with("skip ") && line.contains(reason), "{line}");
        }
    }
}

#[test]
fn doctor_refuses_to_require_what_it_does_not_know() {
    let output = doctor_requiring("subgroups,speed", &["--json"]);
    let err = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{err}");
    assert!(
        err.contains("TCVIT_REQUIRE") && err.contains("cooperative or subgroups") && err.contains("speed"),
        "{err}"
    );
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
