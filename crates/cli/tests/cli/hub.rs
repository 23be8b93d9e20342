//! Models from a hub. The hub is a server in this process.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::hub::{COMMIT, Hub, model};
use crate::{photo, text};

/// Runs the program without any of this environment's settings for a hub.
fn run(home: &Path, endpoint: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcvit"));
    for name in ["HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_TOKEN_PATH", "XDG_CACHE_HOME", "TCVIT_LOG"] {
        command.env_remove(name);
    }
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.env("HF_HOME", home).env("HF_ENDPOINT", endpoint).env("NODEVICE_SELECT", "1");
    command.envs(variables.iter().copied()).args(arguments).output().unwrap()
}

#[track_caller]
fn succeeds(output: &Output) -> Value {
    let err = text(&output.stderr);
    assert_eq!((output.status.code(), err), (Some(0), ""), "{err}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn fails(output: &Output, texts: &[&str]) {
    let err = text(&output.stderr);
    println!("{}", err.trim());
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{err}");
    for part in texts {
        assert!(err.contains(part), "{part:?} is not in: {err}");
    }
}

fn snapshot(home: &Path, name: &str) -> PathBuf {
    home.join(format!("hub/models--tests--{name}/snapshots/{COMMIT}"))
}

#[test]
fn a_model_is_downloaded_once() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let endpoint = hub.endpoint();
    let chelsea = photo("chelsea");
    let classify = ["classify", &chelsea, "--model", "tests/vit", "--json", "--condense", "off", "--top", "7"];
    let first = succeeds(&run(home.path(), &endpoint, &[], &classify));
    assert_eq!(first["model"], "tests/vit");
    let labels: Vec<&str> =
        first["images"][0]["classes"].as_array().unwrap().iter().map(|c| c["label"].as_str().unwrap()).collect();
    assert!(labels.contains(&"lynx") && labels.contains(&"badger"), "{labels:?}");
    assert!(hub.requests().iter().any(|request| request == "/cdn/vit/model.safetensors bytes=0-"));
    for file in ["config.json", "model.safetensors", "preprocessor_config.json"] {
        let here = std::fs::read(snapshot(home.path(), "vit").join(file)).unwrap();
        assert_eq!(here, std::fs::read(model("vit").join(file)).unwrap(), "{file}");
    }
    // The folder gives the same results as the id.
    let folder = model("vit").to_str().unwrap().to_owned();
    let local = ["classify", &chelsea, "--model", &folder, "--json", "--condense", "off", "--top", "7"];
    assert_eq!(succeeds(&run(home.path(), &endpoint, &[], &local))["images"], first["images"]);

    let flops = ["flops", "--model", "tests/vit", "--json"];
    let report = succeeds(&run(home.path(), &endpoint, &[], &flops));
    assert_eq!(hub.requests(), Vec::<String>::new(), "what is in the cache needs no network");
    drop(hub);
    for (variables, arguments) in [
        (&[][..], &flops[..]),
        (&[("HF_HUB_OFFLINE", "1")], &flops),
        (&[], &["flops", "--model", "tests/vit", "--json", "--offline"]),
        (&[], &["flops", "--model", &format!("tests/vit@{COMMIT}"), "--json", "--offline"]),
    ] {
        assert_eq!(succeeds(&run(home.path(), &endpoint, variables, arguments))["full"], report["full"]);
    }
    let larger = ["flops", "--model", "tests/vit", "--json", "--offline", "--image", "96"];
    assert_eq!(succeeds(&run(home.path(), &endpoint, &[], &larger))["blocks"][0]["patches"], 144);

    // Without the preprocessor's file, the normalisation of a transformers model is unknown.
    std::fs::remove_file(snapshot(home.path(), "vit").join("preprocessor_config.json")).unwrap();
    let offline = run(home.path(), &endpoint, &[("HF_HUB_OFFLINE", "yes")], &flops);
    fails(&offline, &["tests/vit", "a copy without preprocessor_config.json", "in the cache at"]);
    let hub = Hub::start();
    succeeds(&run(home.path(), &hub.endpoint(), &[], &flops));
    assert!(hub.requests().iter().all(|request| !request.contains("model.safetensors")), "only what is missing");
}

#[test]
fn a_model_without_preprocessor_is_whole() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let flops = ["flops", "--model", "tests/dinov2@v1", "--json"];
    succeeds(&run(home.path(), &hub.endpoint(), &[], &flops));
    hub.requests();
    succeeds(&run(home.path(), &hub.endpoint(), &[], &flops));
    assert_eq!(hub.requests(), Vec::<String>::new());
    let cache = home.path().join("elsewhere");
    let elsewhere = [("HF_HUB_CACHE", cache.to_str().unwrap())];
    succeeds(&run(home.path(), &hub.endpoint(), &elsewhere, &flops));
    assert!(cache.join("models--tests--dinov2/refs/v1").is_file());
}

#[test]
fn what_the_hub_does_not_have_is_told() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let flops = |id: &str, variables: &[(&str, &str)]| {
        run(home.path(), &hub.endpoint(), variables, &["flops", "--json", "--model", id])
    };
    fails(&flops("tests/nothing", &[]), &["load model tests/nothing from the hub", "404", "no file or folder"]);
    fails(&flops("tests/vit@v9", &[]), &["tests/vit@v9", "404", "revision"]);
    fails(&flops("tests/private", &[]), &["401", "private or gated", "HF_TOKEN"]);
    fails(&flops("tests/gated", &[]), &["401", "it is gated", "accept its terms", "tests/gated", "HF_TOKEN"]);
    fails(&flops("tests/gated", &[("HF_TOKEN", "wrong")]), &["403", "it is gated"]);
    fails(&flops("tests/bin", &[]), &["model.safetensors", "pytorch_model.bin only", "save_pretrained"]);
    fails(&flops("tests/sharded", &[]), &["several files", "model.safetensors.index.json", "not supported"]);
    assert!(!snapshot(home.path(), "gated").join("model.safetensors").exists());
    succeeds(&flops("tests/gated", &[("HF_TOKEN", "secret")]));
    std::fs::write(home.path().join("token"), "secret\n").unwrap();
    fails(&flops("tests/private", &[]), &["404"]);
}

#[test]
fn no_network_is_told() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = Hub::start().endpoint();
    let flops = ["flops", "--model", "tests/vit"];
    fails(&run(home.path(), &endpoint, &[], &flops), &["to reach http://127.0.0.1", "refused", "needs no network"]);
    for (variables, offline) in [(&[("HF_HUB_OFFLINE", "TRUE")][..], &[][..]), (&[], &["--offline"])] {
        let output = run(home.path(), &endpoint, variables, &[&flops[..], offline].concat());
        fails(&output, &["tests/vit", "in the cache at", "models--tests--vit", "got none"]);
    }
    assert!(!home.path().join("hub").exists(), "nothing was written");
}

#[test]
fn a_download_that_breaks_off_is_taken_up() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let flops = ["flops", "--model", "tests/vit", "--json"];
    hub.break_off(true);
    fails(&run(home.path(), &hub.endpoint(), &[], &flops), &["tests/vit", "to reach", "read from it"]);
    assert!(!snapshot(home.path(), "vit").join("model.safetensors").exists(), "no broken model in the cache");
    let offline = [&flops[..], &["--offline"]].concat();
    fails(&run(home.path(), &hub.endpoint(), &[], &offline), &["got"]);
    hub.break_off(false);
    hub.requests();
    succeeds(&run(home.path(), &hub.endpoint(), &[], &flops));
    let size = std::fs::metadata(model("vit").join("model.safetensors")).unwrap().len();
    let resumed = format!("/cdn/vit/model.safetensors bytes={}-", size / 2);
    assert!(hub.requests().contains(&resumed), "what was there was not downloaded again");
    let here = std::fs::read(snapshot(home.path(), "vit").join("model.safetensors")).unwrap();
    assert_eq!(here, std::fs::read(model("vit").join("model.safetensors")).unwrap());

    // A part that is longer than the whole file is useless.
    let cache = home.path().join("other");
    let blobs = cache.join("models--tests--vit/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join("weights-vit.part"), vec![0; size as usize + 1]).unwrap();
    let other = [("HF_HUB_CACHE", cache.to_str().unwrap())];
    succeeds(&run(home.path(), &hub.endpoint(), &other, &flops));
    assert_eq!(std::fs::read(blobs.join("weights-vit")).unwrap(), here);
}

/// A folder with that name comes before the hub.
#[test]
fn a_path_wins() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("tests/vit");
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(model("vit").join(file), folder.join(file)).unwrap();
    }
    let hub = Hub::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcvit"));
    command.current_dir(home.path()).env("HF_HOME", home.path()).env("HF_ENDPOINT", hub.endpoint());
    let output = command.env_remove("TCVIT_LOG").args(["flops", "--model", "tests/vit", "--json"]).output().unwrap();
    succeeds(&output);
    assert_eq!(hub.requests(), Vec::<String>::new());
}
