//! Runs the program as a user does, and checks its output, its files and its exit code.

mod bench;
mod commands;
mod eval;
mod flow;
#[cfg(feature = "hub")]
mod hub;
mod refusals;
#[path = "../../../../tests/support/mod.rs"]
mod support;
mod tuned;
mod visualize;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// Runs the program without any of this environment's settings that change its output.
pub fn tcvit(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcvit"));
    // Mesa's device selection layer writes to standard error on machines without a desktop. The variable switches it
    // off.
    let command = command.args(arguments).env("NODEVICE_SELECT", "1").env_remove("TCVIT_LOG");
    command.env("TCVIT_CACHE", kept()).output().unwrap()
}

/// The folder in which the program keeps its findings about the adapter. All tests of one run share it, so that each
/// need not verify again. It starts empty and is not the user's cache.
fn kept() -> &'static Path {
    static KEPT: OnceLock<PathBuf> = OnceLock::new();
    KEPT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kept by cli");
        if let Err(error) = std::fs::remove_dir_all(&folder) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}: {error}", folder.display());
        }
        std::fs::create_dir_all(&folder).unwrap();
        folder
    })
}

pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// Standard output of a run that must succeed and write nothing to standard error.
#[track_caller]
pub fn succeeds(arguments: &[&str]) -> String {
    let output = tcvit(arguments);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {err}");
    assert_eq!(err, "", "{arguments:?} is not quiet");
    out.to_owned()
}

#[track_caller]
pub fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&succeeds(arguments)).expect("JSON and nothing else")
}

/// `--model` and a model that was not tuned for a condensation, so that any condensation runs without a warning.
pub fn untuned() -> [String; 2] {
    ["--model".into(), support::repository("assets/models/vit_cifar10_32").to_str().unwrap().into()]
}

/// A photograph of the repository.
pub fn photo(name: &str) -> String {
    support::repository(&format!("crates/cli/assets/photos/{name}.jpg")).to_str().unwrap().to_owned()
}
