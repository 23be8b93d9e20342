//! Paths to missing files, or to files that are not checkpoints.

use std::path::Path;

use tcvit::Model;
use tcvit::low_level::weights::Checkpoint;

use crate::support::checkpoint::{Tiny, config_json};
use crate::support::gpu;
use crate::support::small::refused;

/// Loading a model and reading its configuration give the same error.
fn refuse(path: &Path, variant: &str, texts: &[&str]) {
    let text = refused(Model::load(gpu(), path), variant, texts);
    assert_eq!(text, refused(Model::config_of(path), variant, texts));
}

#[test]
fn what_is_no_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let name = folder.path().to_str().unwrap();
    refuse(&path("missing.safetensors"), "File", &["missing.safetensors"]);
    refuse(&path("missing/model.safetensors"), "File", &["missing/model.safetensors"]);
    refuse(Path::new(""), "File", &["a .safetensors file or a folder"]);
    // A folder without a model, and one in which the model's name is a folder.
    refuse(folder.path(), "File", &["a folder with model.safetensors", name]);
    std::fs::create_dir(path("model.safetensors")).unwrap();
    refuse(folder.path(), "File", &["a folder with model.safetensors", name]);
}

#[test]
fn what_is_no_checkpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("empty.safetensors", &b""[..]),
        ("text.safetensors", b"This is not a checkpoint, but it is long enough to have a header."),
        ("zeros.safetensors", &[0; 4096]),
        ("pickle.pth", b"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00archive/data.pkl"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        refuse(&path, "Weights", &["read checkpoint", name, "a whole safetensors file"]);
    }
}

#[test]
fn a_folder_loads_with_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    std::fs::write(&file, Tiny::valid().bytes()).unwrap();
    assert_eq!(Model::load(gpu(), folder.path()).unwrap().config().heads, 1);
    let config = folder.path().join("config.json");
    std::fs::write(&config, config_json().to_string()).unwrap();
    for path in [folder.path(), &file] {
        assert_eq!(Model::load(gpu(), path).unwrap().config().heads, 2);
        assert_eq!(Model::config_of(path).unwrap(), *Model::load(gpu(), path).unwrap().config());
    }
    // A broken configuration is an error, not treated as missing.
    std::fs::write(&config, "").unwrap();
    refuse(folder.path(), "Weights", &["config.json"]);
    std::fs::write(&config, [0xFF, 0xFE, 0x00]).unwrap();
    refuse(folder.path(), "File", &["config.json", "UTF-8"]);
    std::fs::remove_file(&config).unwrap();
    std::fs::create_dir(&config).unwrap();
    refuse(folder.path(), "File", &["config.json"]);
}

#[test]
fn a_broken_checkpoint_in_a_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.safetensors");
    let bytes = Tiny::valid().bytes();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    refuse(&path, "Weights", &["half.safetensors", "a whole safetensors file"]);
    std::fs::write(&path, Tiny::valid().with("extra", &[1]).bytes()).unwrap();
    refused(Model::load(gpu(), &path), "Weights", &["half.safetensors", "left over: extra"]);
}

/// A file is mapped one tensor at a time, so a file that shrinks between opening and loading is an error, not a signal.
#[test]
fn a_checkpoint_that_is_cut_short_after_it_was_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shrinking.safetensors");
    let bytes = Tiny::valid().bytes();
    std::fs::write(&path, &bytes).unwrap();
    let open = || Checkpoint::open(&path).unwrap();
    let load = |checkpoint| Model::from_checkpoint(gpu(), checkpoint, Some(&config_json().to_string()));
    load(open()).unwrap();
    let checkpoint = open();
    // Windows refuses to cut a mapped file, but nothing is mapped at this point.
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(bytes.len() as u64 / 2).unwrap();
    refused(load(checkpoint), "File", &["shrinking.safetensors", "load tensor", "cut short"]);
    // If the file is replaced by renaming, the opened checkpoint is unaffected.
    std::fs::write(&path, &bytes).unwrap();
    let checkpoint = open();
    let other = folder.path().join("other.safetensors");
    std::fs::write(&other, b"something else").unwrap();
    if cfg!(unix) {
        std::fs::rename(&other, &path).unwrap();
        load(checkpoint).unwrap();
    }
}
