//! Refused input: the exit code, the text on standard error, and an empty standard output.

use crate::{photo, tcvit, text};

/// Asserts the exit code `code`, an empty standard output, and all of `texts` on standard error.
#[track_caller]
pub fn fails(code: i32, arguments: &[&str], texts: &[&str]) {
    let output = tcvit(arguments);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {err}");
    assert_eq!(out, "", "{arguments:?} prints an answer");
    assert!(!err.contains("panicked"), "{err}");
    for part in texts {
        assert!(err.contains(part), "{part:?} is not in: {err}");
    }
    println!("{}", err.lines().next().unwrap_or_default());
}

#[test]
fn photographs_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let jpeg = std::fs::read(photo("rocket")).unwrap();
    for (path, name) in [
        (write("notes.txt", b"Not a photograph."), "notes.txt"),
        (write("empty.jpg", b""), "empty.jpg"),
        (write("text.png", b"Not a photograph either."), "text.png"),
        (write("head.jpg", &jpeg[..20]), "head.jpg"),
        (folder.path().join("missing.jpg").to_str().unwrap().to_owned(), "missing.jpg"),
        (folder.path().to_str().unwrap().to_owned(), folder.path().to_str().unwrap()),
    ] {
        fails(2, &["classify", &path], &["tcvit: ", name]);
        fails(2, &["demo", &path, "--json"], &["tcvit: ", name]);
        // If one of several photographs is bad, the error names it. It is not skipped.
        fails(2, &["classify", &photo("chelsea"), &path, "--json"], &["tcvit: ", name]);
    }
}

#[test]
fn arguments_that_make_no_sense() {
    let chelsea = photo("chelsea");
    let cases: [(&[&str], &[&str]); 24] = [
        (&[], &["PHOTO"]),
        (&["--drop", "9999"], &["block 0", "at most 63", "9999"]),
        (&["--drop", "-1"], &["-1"]),
        (&["--drop", "few"], &["few", "--drop"]),
        (&["--schedule", "1,2"], &["8 blocks", "2 numbers"]),
        (&["--schedule", "1,x"], &["x", "--schedule"]),
        (&["--schedule", "8,8,8,8,8,8,8,8"], &["block 7", "has 8"]),
        (&["--drop", "1", "--schedule", "1,1,1,1,1,1,1,1"], &["--drop", "--schedule"]),
        (&["--preset", "nonsense"], &["paper, literal, training_free, tome", "nonsense"]),
        (&["--preset", "tome", "--metric", "dot"], &["--metric", "tome", "dot"]),
        (&["--preset", "tome", "--drop", "8"], &["at most 4", "block 7", "8"]),
        (&["--keep", "0"], &["keep ratios above 0"]),
        (&["--flops", "70"], &["--flops", "55%", "70"]),
        (&["--flops", "5%"], &["at least 0.0"]),
        (&["--metric", "nonsense"], &["--metric", "attention", "key_cosine", "nonsense"]),
        (&["--method", "newton4"], &["--method", "newton3", "newton4"]),
        (&["--score", "nonsense"], &["--score", "uniqueness"]),
        (&["--weights", "nonsense"], &["--weights", "size"]),
        (&["--order", "0"], &["order", "1 to 1024"]),
        (&["--alpha", "nan"], &["alpha", "NaN"]),
        (&["--beta", "inf"], &["beta", "inf"]),
        (&["--batch", "0"], &["batch", "0"]),
        (&["--model", "random:nonsense"], &["model preset", "deit_tiny", "nonsense"]),
        (&["--model", "nonexistent"], &["load model", "nothing at nonexistent"]),
    ];
    for (arguments, texts) in cases {
        let photos: &[&str] = if arguments.is_empty() { &[] } else { &[&chelsea] };
        fails(2, &[&["classify"], photos, arguments].concat(), texts);
    }
    fails(2, &["nonsense"], &["nonsense"]);
    fails(2, &["flops", "--paper", "--drop", "3"], &["--paper", "--drop"]);
    fails(2, &["flops", "--model", "nonexistent"], &["nothing at nonexistent"]);
    fails(2, &["demo", "--batch", "0"], &["batch"]);
    for subcommand in ["flops", "demo"] {
        fails(2, &[subcommand, "--image", "33"], &["image side", "multiple of the patch side 4", "32 or 36", "got 33"]);
    }
}

#[test]
fn models_that_are_broken() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("broken.safetensors");
    std::fs::write(&model, b"not a checkpoint").unwrap();
    for path in [model.to_str().unwrap(), &photo("chelsea")] {
        let name = path.rsplit('/').next().unwrap();
        fails(2, &["classify", &photo("chelsea"), "--model", path], &["read checkpoint", name]);
        fails(2, &["flops", "--model", path], &["read checkpoint", name]);
    }
    fails(2, &["flops", "--model", folder.path().to_str().unwrap()], &["a folder with model.safetensors"]);
}

#[test]
fn adapters_that_are_not_there() {
    for arguments in [&["classify", &photo("chelsea")][..], &["demo"], &["doctor"]] {
        fails(3, &[arguments, &["--adapter", "nonsense"]].concat(), &["choose adapter", "0: ", "nonsense"]);
    }
    fails(3, &["demo", "--adapter", "99"], &["choose adapter", "99"]);
    fails(2, &["demo", "--shaders", "/nowhere"], &["/nowhere"]);
}

/// If a shader does not compile, the driver or the developer is at fault, not the user, so the exit code is 3.
#[test]
fn shaders_that_do_not_compile() {
    let folder = tempfile::tempdir().unwrap();
    let shaders = crate::support::repository("shaders");
    for stage in std::fs::read_dir(&shaders).unwrap().map(|entry| entry.unwrap()) {
        std::fs::create_dir(folder.path().join(stage.file_name())).unwrap();
        for file in std::fs::read_dir(stage.path()).unwrap().map(|entry| entry.unwrap()) {
            std::fs::copy(file.path(), folder.path().join(stage.file_name()).join(file.file_name())).unwrap();
        }
    }
    std::fs::write(folder.path().join("head/pool.wgsl"), "fn main( {").unwrap();
    fails(3, &["demo", "--shaders", folder.path().to_str().unwrap()], &["head/pool.wgsl"]);
}

#[test]
fn pixels_that_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pixels.safetensors");
    let name = path.to_str().unwrap();
    fails(2, &["classify", "--pixels", name], &["pixels.safetensors"]);
    std::fs::write(&path, b"noise").unwrap();
    fails(2, &["classify", "--pixels", name], &["pixels.safetensors", "safetensors file"]);
    let write = |tensor: &str, shape: &[usize], value: f32| {
        let bytes: Vec<u8> = (0..shape.iter().product()).flat_map(|_| value.to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), &bytes).unwrap();
        std::fs::write(&path, safetensors::serialize([(tensor, view)], None).unwrap()).unwrap();
    };
    write("pixel_values", &[1, 3, 32, 32], 0.0);
    fails(2, &["classify", "--pixels", name], &["pixels.safetensors", "`pixels`"]);
    for shape in [&[1, 3, 16, 16][..], &[3, 32, 32], &[0, 3, 32, 32], &[1, 1, 32, 32]] {
        write("pixels", shape, 0.0);
        fails(2, &["classify", "--pixels", name], &["[B, 3, 32, 32]", &format!("{shape:?}")]);
    }
    write("pixels", &[1, 3, 32, 32], f32::NAN);
    fails(2, &["classify", "--pixels", name], &["finite input pixels", "NaN at 0"]);
    fails(2, &["classify", &photo("chelsea"), "--pixels", name], &["--pixels"]);
}

#[test]
fn traces_that_cannot_be_written_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let chelsea = photo("chelsea");
    fails(2, &["classify", &chelsea, "--trace", &at("missing/t.safetensors")], &["--trace", "there is no folder"]);
    fails(2, &["classify", &chelsea, "--trace", folder.path().to_str().unwrap()], &["--trace", "that is a folder"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // Root may write anywhere, but not into the kernel's folders.
    #[cfg(target_os = "linux")]
    fails(2, &["classify", &chelsea, "--trace", "/proc/t.safetensors"], &["write file", "/proc/t.safetensors"]);
    // A run that fails for another reason does not change an older trace.
    std::fs::write(at("old.safetensors"), "old").unwrap();
    fails(2, &["classify", &chelsea, "--drop", "9999", "--trace", &at("old.safetensors")], &["9999"]);
    assert_eq!(std::fs::read(at("old.safetensors")).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// It is not an error if the reader stops reading, as `head` does.
#[test]
#[cfg(unix)]
fn a_closed_pipe_is_no_error() {
    let script =
        format!("{} flops --model random:deit_small | true; echo \"${{PIPESTATUS[0]}}\"", env!("CARGO_BIN_EXE_tcvit"));
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!((text(&output.stdout).trim(), text(&output.stderr)), ("0", ""));
}
