//! Photographs that are prepared on the GPU, and files that are kept on disk.

use std::process::Command;

use crate::{json, photo, refusals::fails, text};

#[test]
fn both_ways_to_prepare_photographs_answer_the_same() {
    let photos = ["chelsea", "coffee", "rocket"].map(photo);
    let classify = |options: &[&str]| {
        let mut arguments = vec!["classify"];
        arguments.extend(photos.iter().map(String::as_str));
        arguments.extend(options);
        arguments.push("--json");
        json(&arguments)["images"].clone()
    };
    let expected = classify(&["--batch", "2"]);
    assert_eq!(expected.as_array().unwrap().len(), 3);
    assert_eq!(classify(&["--batch", "2", "--preprocess", "gpu"]), expected);
    assert_eq!(classify(&["--batch", "1", "--preprocess", "cpu"]), expected);
    // With a trace, all photographs run together.
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.safetensors");
    assert_eq!(classify(&["--preprocess", "gpu", "--trace", trace.to_str().unwrap()]), expected);
    fails(2, &["classify", &photos[0], "--preprocess", "tpu"], &["cpu or gpu", "tpu"]);
}

#[test]
fn evaluations_that_prepare_on_the_gpu_give_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    for (class, name) in [("cat", "chelsea"), ("airplane", "rocket"), ("ship", "coffee")] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        std::fs::copy(photo(name), folder.path().join(class).join("one.jpg")).unwrap();
    }
    // An image that cannot be read does not take the place of another one.
    std::fs::write(folder.path().join("cat/broken.jpg"), "no image").unwrap();
    let rows = |way: &str, batch: &str| {
        let csv = folder.path().join("rows.csv");
        let output = crate::tcvit(&[
            "eval",
            folder.path().to_str().unwrap(),
            "--csv",
            csv.to_str().unwrap(),
            "--preprocess",
            way,
            "--batch",
            batch,
        ]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("skipped cat/broken.jpg"), "{}", text(&output.stderr));
        std::fs::read_to_string(csv).unwrap()
    };
    let expected = rows("cpu", "2");
    assert_eq!(expected.lines().count(), 4);
    assert_eq!(rows("gpu", "2"), expected);
    assert_eq!(rows("gpu", "1"), expected);
}

#[test]
fn what_is_kept_is_where_it_is_told_to_be() {
    let home = tempfile::tempdir().unwrap();
    let files = |folder: &str| std::fs::read_dir(home.path().join(folder)).map_or(0, |entries| entries.count());
    let run = |variable: &str, value: &str, option: Option<&str>| {
        let output = Command::new(env!("CARGO_BIN_EXE_tcvit"))
            .args(["classify", &photo("chelsea")])
            .args(option)
            .env_remove("TCVIT_CACHE")
            .env("HOME", home.path())
            .env("XDG_CACHE_HOME", home.path().join("xdg"))
            .env("NODEVICE_SELECT", "1")
            // Mesa also has a cache, by default in the same folder.
            .env("MESA_SHADER_CACHE_DIR", home.path().join("mesa"))
            .current_dir(home.path())
            .env(variable, value)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    let kept = home.path().join("kept");
    run("TCVIT_CACHE", kept.to_str().unwrap(), Some("--no-cache"));
    run("TCVIT_CACHE", "", None);
    assert_eq!((files("kept"), files("xdg/tcvit")), (0, 0));
    run("TCVIT_CACHE", kept.to_str().unwrap(), None);
    assert_eq!((files("kept"), files("xdg/tcvit")), (1, 0));
    // One photograph does not start a search for the fastest ways, but the ways in use are always verified.
    let adapter = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    let choices: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&std::fs::read(adapter.join("choices.json")).unwrap()).unwrap();
    assert!(choices.keys().all(|name| name.starts_with("verification of ")), "{choices:?}");
    if cfg!(all(unix, not(target_os = "macos"))) {
        run("TCVIT_LOG", "error", None);
        assert_eq!(files("xdg/tcvit"), 1);
        // The XDG rules do not allow relative paths.
        run("XDG_CACHE_HOME", "relative", None);
        assert_eq!(files("relative"), 0);
    }
}
