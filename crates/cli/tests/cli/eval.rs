//! `tcvit eval`: figures that follow from its rows, rows that agree with `classify`, and runs that continue.

use std::path::Path;

use serde_json::Value;

use crate::{json, photo, succeeds, tcvit, text, untuned};

/// A folder of class folders with one photograph in each.
fn folder() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (class, name) in [("cat", "chelsea"), ("airplane", "rocket"), ("ship", "coffee"), ("dog", "astronaut")] {
        std::fs::create_dir(root.path().join(class)).unwrap();
        std::fs::copy(photo(name), root.path().join(class).join(format!("{name}.jpg"))).unwrap();
    }
    root
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

fn models(report: &Value) -> Vec<(String, f64, f64)> {
    let figure = |model: &Value, name: &str| model[name].as_f64().unwrap();
    let all = report["models"].as_array().unwrap().iter();
    all.map(|m| (m["name"].as_str().unwrap().to_owned(), figure(m, "top1"), figure(m, "agreement"))).collect()
}

#[test]
fn rows_and_figures_agree_with_each_other_and_with_classify() {
    let (images, output) = (folder(), tempfile::tempdir().unwrap());
    let images = images.path().to_str().unwrap();
    let csv = path(output.path(), "rows.csv");
    let picture = path(output.path(), "chart.svg");
    let [option, model] = &untuned();
    let report = json(&[
        "eval",
        images,
        option,
        model,
        "--preset",
        "training_free,prune",
        "--drop",
        "0,7",
        "--batch",
        "3",
        "--csv",
        &csv,
        "--picture",
        &picture,
        "--json",
    ]);
    assert_eq!(
        (report["images"].as_u64(), report["resumed"].as_u64(), report["timed"].as_u64()),
        (Some(4), Some(0), Some(4))
    );
    let models = models(&report);
    let names: Vec<&str> = models.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["full", "training_free, R = 7", "prune, R = 7"]);
    let mut rows = csv::Reader::from_path(&csv).unwrap();
    let columns = rows.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert_eq!((rows.len(), columns.len()), (4, 2 + 3 * 3));
    let column = |name: &str| columns.iter().position(|column| column == name).unwrap();
    for (name, top1, agreement) in &models {
        let class = column(&format!("{name}: class"));
        let (rank, full) = (column(&format!("{name}: rank")), column("full: class"));
        let share = |of: &dyn Fn(&csv::StringRecord) -> bool| rows.iter().filter(|row| of(row)).count() as f64 / 4.0;
        assert_eq!(share(&|row| &row[rank] == "0"), *top1, "{name}");
        assert_eq!(share(&|row| row[class] == row[full]), *agreement, "{name}");
        assert_eq!(share(&|row| row[class] == row[1]), *top1, "{name}: rank 0 is the right class");
    }
    assert_eq!(models[0].2, 1.0);
    for row in &rows {
        let photo = path(Path::new(images), &row[0]);
        let condensation = ["--drop", "7", "--preset", "training_free", "--json", option, model];
        let classified = json(&[&["classify", &photo][..], &condensation].concat());
        let best = &classified["images"][0]["classes"][0];
        assert_eq!(best["index"].as_u64().unwrap().to_string(), row[column("training_free, R = 7: class")], "{row:?}");
    }
    let chart = std::fs::read_to_string(&picture).unwrap();
    for part in ["<svg", "training_free", "prune", "agreement"] {
        assert!(chart.contains(part), "{part} is not in the picture");
    }
    let table = succeeds(&["eval", images, "--limit", "2", "--flops", "70%,71%", "--batch", "2", option, model]);
    for part in ["2 of 4 in", "matched by name", "full ", "training_free, R = ", "top-1", "KL"] {
        assert!(table.contains(part), "{part:?} is not in:\n{table}");
    }
}

#[test]
fn an_interrupted_run_goes_on_where_it_was() {
    let (images, output) = (folder(), tempfile::tempdir().unwrap());
    let images = images.path().to_str().unwrap();
    let csv = path(output.path(), "rows.csv");
    let [option, model] = &untuned();
    let arguments = ["eval", images, "--drop", "5", "--csv", &csv, "--json", option, model];
    json(&arguments);
    let whole = std::fs::read_to_string(&csv).unwrap();
    std::fs::remove_file(&csv).unwrap();
    // An unfinished file in which one row has answers that no model gives. If the row is in the result, it was taken
    // from the file and not computed again.
    let lines: Vec<&str> = whole.lines().collect();
    let told = "cat/chelsea.jpg,3,9,8,0.000000000e0,9,8,7.000000000e0";
    let identity = format!("# tcvit eval {model} on {images}");
    std::fs::write(format!("{csv}.part"), format!("{identity}\n{}\n{}\n{told}\ndog/astr", lines[0], lines[1])).unwrap();
    let report = json(&arguments);
    assert_eq!((report["resumed"].as_u64(), report["timed"].as_u64()), (Some(2), Some(2)));
    let resumed = std::fs::read_to_string(&csv).unwrap();
    let expected: Vec<&str> = lines.iter().map(|line| if line.starts_with("cat/") { told } else { line }).collect();
    assert_eq!(resumed.lines().collect::<Vec<_>>(), expected);
    assert!(!Path::new(&format!("{csv}.part")).exists());
    std::fs::write(format!("{csv}.part"), format!("{identity}\nfile,class\n")).unwrap();
    let output = tcvit(&arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("another evaluation's"), "{}", text(&output.stderr));
}

#[test]
fn an_image_that_cannot_be_read_is_skipped_and_told() {
    let images = folder();
    std::fs::write(images.path().join("dog/broken.jpg"), b"nonsense").unwrap();
    let output = tcvit(&["eval", images.path().to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("skipped dog/broken.jpg"), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["images"].as_u64(), report["skipped"][0].as_str()), (Some(4), Some("dog/broken.jpg")));
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let (images, other) = (folder(), tempfile::tempdir().unwrap());
    let images = images.path().to_str().unwrap();
    let empty = other.path().to_str().unwrap();
    let sweep = path(other.path(), "sweep.json");
    std::fs::write(&sweep, r#"[{"preset": "paper", "metrik": "dot"}]"#).unwrap();
    std::fs::create_dir_all(other.path().join("classes/fish")).unwrap();
    let classes = path(other.path(), "classes");
    let cases: [(&[&str], &[&str]); 9] = [
        (&["eval"], &["DIR"]),
        (&["eval", "nowhere"], &["image folder", "nowhere"]),
        (&["eval", &path(Path::new(images), "cat")], &["one folder for each class", "without folders"]),
        (&["eval", &classes], &["10 classes", "fish"]),
        (&["eval", images, "--limit", "0"], &["at least 1 image"]),
        (&["eval", images, "--preset", "paper,best"], &["training_free", "best"]),
        (&["eval", images, "--sweep", &sweep], &["metrik"]),
        (&["eval", images, "--sweep", &path(Path::new(empty), "none.json")], &["sweep", "none.json"]),
        (&["eval", images, "--model", "random:dinov2_small"], &["classification head", "dinov2_small"]),
    ];
    for (arguments, texts) in cases {
        let output = tcvit(arguments);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        for part in texts {
            assert!(err.contains(part), "{part:?} is not in: {err}");
        }
    }
}
