//! Tells `tcvit bench` the commit that it was built from. A release build asks git, or reads the file that cargo put
//! into a package. Other builds do not ask, so that a new commit does not rebuild them; nobody publishes their times.

use std::path::Path;
use std::process::Command;

/// The files that the program is built from, relative to this package. Changes elsewhere do not change the program.
const SOURCES: [&str; 8] = [
    "src",
    "assets/models",
    "Cargo.toml",
    "build.rs",
    "../../src",
    "../../shaders",
    "../../Cargo.toml",
    "../../Cargo.lock",
];
/// The path of this package in its checkout.
const PLACE: &str = "crates/cli/";
/// The file in which cargo records the checkout that a package was made from.
const PACKAGED: &str = ".cargo_vcs_info.json";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    if let Some(commit) = packaged().or_else(checked_out) {
        println!("cargo::rustc-env=TCVIT_COMMIT={commit}");
    }
}

fn packaged() -> Option<String> {
    let text = std::fs::read_to_string(PACKAGED).ok()?;
    println!("cargo::rerun-if-changed={PACKAGED}");
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?;
    // Cargo marks a package that was made from a checkout with changes.
    let mark = if text.contains("\"dirty\": true") { "+changes" } else { "" };
    Some(format!("{}{mark}", commit.get(..12)?))
}

fn checked_out() -> Option<String> {
    // If this package is a copy inside another project's checkout, that project's commit is not used.
    if git(&["rev-parse", "--show-prefix"])? != PLACE {
        return None;
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changes = git(&[&["status", "--porcelain", "--"], &SOURCES[..]].concat())?;
    for watched in SOURCES.into_iter().map(String::from).chain(git(&["rev-parse", "--git-path", "logs/HEAD"])) {
        if Path::new(&watched).exists() {
            println!("cargo::rerun-if-changed={watched}");
        }
    }
    Some(if changes.is_empty() { commit } else { commit + "+changes" })
}

/// The output of git, if git is installed and this is a checkout.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
