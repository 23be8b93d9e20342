//! The trace file, read back by the safetensors crate.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use tcvit::{Condensation, Model, Outputs, Precision, Trace, VitConfig};

use crate::support::small::{EVERYTHING, config, open, pixels, refused, small};
use crate::support::{gpu, stored_in};

fn trace() -> Trace {
    let condensation = Condensation::training_free().schedule([4, 0, 5]);
    open(small(), 2, Some(&condensation)).run(&pixels(&config(), 3, 51), EVERYTHING).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_saved_trace_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.safetensors");
    let trace = trace();
    // An older file is replaced.
    std::fs::write(&path, "old").unwrap();
    trace.save(&path).unwrap();
    assert_eq!(names(folder.path()), ["trace.safetensors"]);

    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut found: Vec<&str> = file.names().into_iter().collect();
    found.sort_unstable();
    let blocks = ["block.0.assigned", "block.0.kept", "block.0.score", "block.2.assigned", "block.2.kept"];
    assert_eq!(found, [&blocks[..], &["block.2.score", "features", "logits", "pooled"]].concat());

    let floats = |name: &str, shape: &[usize], expected: &[f32]| {
        let tensor = file.tensor(name).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, shape), "{name}");
        let values: Vec<f32> = tensor.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        assert_eq!(values, expected, "{name}");
    };
    let indices = |name: &str, shape: &[usize], expected: &[u32]| {
        let tensor = file.tensor(name).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::U32, shape), "{name}");
        let values: Vec<u32> = tensor.data().as_chunks::<4>().0.iter().map(|&b| u32::from_le_bytes(b)).collect();
        assert_eq!(values, expected, "{name}");
    };
    floats("logits", &[3, 10], &trace.logits);
    floats("features", &[3, 8, 64], &trace.features);
    for (block, patches, kept) in [(0, 16, 12), (1, 12, 7)] {
        let block = &trace.blocks[block];
        let name = |what: &str| format!("block.{}.{what}", block.block);
        indices(&name("kept"), &[3, kept], &block.kept);
        indices(&name("assigned"), &[3, patches], &block.assigned);
        floats(&name("score"), &[3, patches], &block.score);
    }
}

#[test]
fn a_trace_of_a_model_without_a_head_has_no_logits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.safetensors");
    let config = VitConfig::new(16, 8, 32, 1, 1, 0);
    let model = Model::random_with(gpu(), &config, 6, &stored_in(Precision::F32)).unwrap();
    open(&model, 1, None).run(&pixels(&config, 1, 52), EVERYTHING).unwrap().save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut found = file.names();
    found.sort_unstable();
    assert_eq!(found, ["features", "pooled"]);
}

/// A trace without features, since they were not requested, is either refused or written as a readable file.
#[test]
fn a_trace_without_features_is_refused_or_readable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace.safetensors");
    let trace = open(small(), 1, None).run(&pixels(&config(), 1, 53), Outputs::logits()).unwrap();
    match trace.save(&path) {
        Ok(()) => drop(SafeTensors::deserialize(&std::fs::read(&path).unwrap()).unwrap()),
        Err(error) => {
            assert!(error.to_string().contains("write trace"), "{error}");
            assert!(names(folder.path()).is_empty());
        }
    }
}

#[test]
fn a_trace_that_cannot_be_written_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let trace = trace();
    let missing = folder.path().join("missing/trace.safetensors");
    refused(trace.save(&missing), "File", &["missing/trace.safetensors"]);
    refused(trace.save(folder.path()), "File", &[folder.path().to_str().unwrap()]);
    refused(trace.save(Path::new("/")), "File", &["\"/\""]);
    assert!(names(folder.path()).is_empty());
    // Nothing is left beside the folder either, where the partial file of a folder's name would be.
    let beside = names(folder.path().parent().unwrap());
    assert!(!beside.iter().any(|name| name.contains(".part") && name.contains(&std::process::id().to_string())));
}
