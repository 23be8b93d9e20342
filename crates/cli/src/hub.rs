//! The file or folder that `--model` means: one that exists here, or a model on the Hugging Face hub (feature `hub`).

use std::path::{Path, PathBuf};

use tcvit::Result;

/// Where the files of the model `text` are. A path that exists comes before the hub.
///
/// # Errors
/// [`tcvit::Error::File`] when the model is neither here nor to be had.
pub fn locate(text: &str, offline: bool) -> Result<PathBuf> {
    let path = Path::new(text);
    if path.exists() { Ok(path.to_owned()) } else { missing(text, offline) }
}

/// Where the files of the model `text`, which is no path here, are.
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
            Error::File { op, expected, got: format!("{got} (nor is there a file or folder {text} here)"), source }
        }
        other => other,
    })
}

#[cfg(not(feature = "hub"))]
fn missing(text: &str, _: bool) -> Result<PathBuf> {
    Err(tcvit::Error::file(
        format!("load model {text}"),
        "a file or folder of that name",
        "none; the feature `hub`, which downloads models, was left out of this build",
    ))
}
