//! Tells `tcvit bench` which commit it is made of. A release build looks at git, or at what cargo left of it in a package;
//! other builds, whose times nobody publishes, are not made again for a commit.

use std::path::Path;
use std::process::Command;

/// The files that the program is made of, seen from this package. A change elsewhere does not make it another program.
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
/// Where this package lies in its checkout.
const PLACE: &str = "crates/cli/";
/// What cargo writes into a package about the checkout that it was made of.
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
    // Cargo marks a package of a checkout with changes.
    let mark = if text.contains("\"dirty\": true") { "+changes" } else { "" };
    Some(format!("{}{mark}", commit.get(..12)?))
}

fn checked_out() -> Option<String> {
    // A copy inside another project's checkout is not of that project's commit.
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

/// What git says, if it is there and this is a checkout.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
