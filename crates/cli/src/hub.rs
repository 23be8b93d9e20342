//! Finds the files of `--model`: a file or folder on this machine, or a model on the Hugging Face hub (feature `hub`).

use std::path::{Path, PathBuf};

use tcvit::Result;

/// The path of the files of the model `text`. A path that exists comes before the hub.
///
/// # Errors
/// [`tcvit::Error::File`] when the model is neither on this machine nor on the hub.
pub fn locate(text: &str, offline: bool) -> Result<PathBuf> {
    let path = Path::new(text);
    if path.exists() { Ok(path.to_owned()) } else { missing(text, offline) }
}

/// The path of the files of the model `text`, which is not a path on this machine.
#[cfg(feature = "hub")]
fn missing(text: &str, offline: bool) -> Result<PathBuf> {
    use tcvit::Error;
    use tcvit::hub::{HubOptions, fetch, is_id};

    if !is_id(text) {
        return Ok(text.into());
    }
    let bar = crate::output::progress(0, "{msg} {bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    let options = HubOptions::new().offline(offline).progress(move |file| {
        if file.done {
            bar.finish_and_clear();
            return;
        }
        if bar.message() != file.name {
            bar.reset();
            bar.set_message(file.name.to_owned());
        }
        bar.set_length(file.size);
        bar.set_position(file.got);
    });
    fetch(text, &options).map_err(|error| match error {
        Error::File { op, expected, got, source } => {
            Error::File { op, expected, got: format!("{got} (there is no file or folder {text} either)"), source }
        }
        other => other,
    })
}

#[cfg(not(feature = "hub"))]
fn missing(text: &str, _: bool) -> Result<PathBuf> {
    Err(tcvit::Error::file(
        format!("load model {text}"),
        "a file or folder of that name",
        "none; this build lacks the feature `hub`, which downloads models",
    ))
}
