//! A `config.json` that is broken, has the wrong format, or contradicts the tensors.

use serde_json::{Value, json};

use crate::support::checkpoint::{CLASSES, Tiny, config_json};
use crate::support::small::refused;

fn with(pointer: &str, value: Value) -> tcvit::Result<tcvit::Model> {
    let mut config = config_json();
    config["pretrained_cfg"] = json!({ "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic" });
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[key] = value;
    Tiny::valid().load(Some(&config.to_string()))
}

#[test]
fn one_that_fits_is_taken() {
    let model = with("/pretrained_cfg/crop_pct", json!(0.875)).unwrap();
    let config = model.config();
    assert_eq!((config.heads, config.crop, config.mean, config.classes), (2, 0.875, [0.5; 3], CLASSES));
    let labels = ["a", "b", "c", "d", "e"];
    assert_eq!(with("/label_names", json!(labels)).unwrap().config().labels, labels);
    // A field that is not used may hold anything.
    with("/training_notes", json!({ "epochs": [1, 2] })).unwrap();
}

#[test]
fn one_that_is_broken_is_refused() {
    let whole = config_json().to_string();
    for text in ["", " ", "{", "nonsense", "42", "\"text\"", "{\"num_classes\": }", &whole[..whole.len() - 1]] {
        refused(Tiny::valid().load(Some(text)), "Weights", &["config.json"]);
    }
}

#[test]
fn wrong_types_are_refused() {
    for (pointer, value) in [
        ("/num_classes", json!("five")),
        ("/num_classes", json!(-5)),
        ("/num_classes", json!(5.5)),
        ("/num_classes", json!(1e300)),
        ("/label_names", json!({ "0": 1 })),
        ("/label_names", json!("cat")),
        ("/model_args", json!("none")),
        ("/model_args/num_heads", json!([2])),
        ("/model_args/num_heads", json!(-2)),
        ("/pretrained_cfg/mean", json!([0.5, 0.5])),
        ("/pretrained_cfg/mean", json!(0.5)),
        ("/pretrained_cfg/std", json!(["a", "b", "c"])),
        ("/pretrained_cfg/interpolation", json!(3)),
        ("/pretrained_cfg/crop_pct", json!("all")),
    ] {
        refused(with(pointer, value), "Weights", &["config.json"]);
    }
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    refused(with("/pretrained_cfg/std", json!([0.5, 0.0, 0.5])), "Config", &["model configuration", "std"]);
    refused(with("/pretrained_cfg/std", json!([0.5, -1.0, 0.5])), "Config", &["model configuration", "std"]);
    refused(with("/pretrained_cfg/mean", json!([0.5, 1e300, 0.5])), "Config", &["model configuration", "mean"]);
    refused(with("/pretrained_cfg/interpolation", json!("magic")), "Config", &["magic", "bicubic"]);
    refused(with("/label_names", json!(["cat", "dog"])), "Config", &["labels", "one for each class", "2"]);
}

#[test]
fn contradictions_are_refused() {
    refused(with("/num_classes", json!(1000)), "Weights", &["config.json", "num_classes 1000", "5 classes"]);
    refused(with("/num_classes", json!(0)), "Weights", &["num_classes 0", "5 classes"]);
    refused(with("/global_pool", json!("avg")), "Weights", &["global_pool avg", "without fc_norm"]);
    let pooled = Tiny::valid().without("norm.weight").without("norm.bias");
    let pooled = pooled.with("fc_norm.weight", &[16]).with("fc_norm.bias", &[16]);
    pooled.load(None).unwrap();
    let config = json!({ "global_pool": "token" }).to_string();
    refused(pooled.load(Some(&config)), "Weights", &["global_pool token", "with fc_norm"]);
}
