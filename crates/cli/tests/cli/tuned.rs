//! By default the program runs the condensation that a checkpoint was tuned for, from its metadata.

use serde_json::json;
use tcvit::{Condensation, Model};

use crate::support::checkpoint::{Tiny, config_json, load};
use crate::{tcvit, text};

/// The small checkpoint with `recorded` in its metadata.
fn bytes(recorded: &str) -> Vec<u8> {
    let tiny = Tiny::valid();
    let mut header = tiny.header();
    header["__metadata__"] = json!({ Condensation::METADATA: recorded });
    tiny.bytes_under(&header.to_string())
}

#[test]
fn the_program_runs_what_the_checkpoint_was_tuned_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let model = folder.path().to_str().unwrap();
    let mut tuned = Condensation::paper().drop_per_block(3);
    tuned.order = 4;
    std::fs::write(&path, bytes(&tuned.to_json().to_string())).unwrap();
    std::fs::write(folder.path().join("config.json"), config_json().to_string()).unwrap();
    let condensation = |arguments: &[&str]| {
        let output = tcvit(&[&["flops", "--model", model, "--json"], arguments].concat());
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        report["condensation"].as_str().unwrap().to_owned()
    };
    assert_eq!(condensation(&[]), "paper, order 4, R = 3");
    assert_eq!(condensation(&["--drop", "2", "--alpha", "100"]), "paper, order 4, alpha 100, R = 2");
    assert_eq!(condensation(&["--preset", "tome"]), "tome, R = 1");
    assert_eq!(condensation(&["--condense", "off"]), "full");
    assert_eq!(Model::condensation_of(&path).unwrap(), Some(tuned));
    let warning = |arguments: &[&str]| {
        let output = tcvit(&[&["flops", "--model", model], arguments].concat());
        assert!(output.status.success());
        text(&output.stderr).to_owned()
    };
    for same in [&[][..], &["--path", "dense"], &["--drop", "3"], &["--schedule", "3,3"], &["--condense", "off"]] {
        assert_eq!(warning(same), "", "{same:?}");
    }
    for other in [["--drop", "2"], ["--preset", "tome"], ["--alpha", "100"], ["--schedule", "3,2"]] {
        let warning = warning(&other);
        assert!(warning.contains("was tuned for paper, order 4, R = 3, not for"), "{other:?}: {warning}");
    }

    std::fs::write(&path, Tiny::valid().bytes()).unwrap();
    assert_eq!(condensation(&[]), "training_free, R = 1");

    std::fs::write(&path, bytes(r#"{"metric": "angle"}"#)).unwrap();
    let output = tcvit(&["flops", "--model", model]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("tuned for") && err.contains("angle") && err.contains("euclidean"), "{err}");
}

#[test]
fn the_library_tells_what_the_checkpoint_was_tuned_for() {
    let config = config_json().to_string();
    let model = load(bytes(r#"{"preset": "tome", "schedule": [2, 1]}"#), Some(&config)).unwrap();
    assert_eq!(model.condensation(), Some(&Condensation::tome().schedule([2, 1])));
    assert_eq!(Tiny::valid().load(Some(&config)).unwrap().condensation(), None);
    assert!(load(bytes("paper"), Some(&config)).is_err());
}
