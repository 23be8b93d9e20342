//! Models in the format of Hugging Face transformers: other tensor names, another `config.json`, and a
//! `preprocessor_config.json`. All three are translated to timm's, which the rest of the crate reads.

mod config;
mod names;
mod preprocessor;

use std::collections::BTreeMap;

use super::infer::infer;
use crate::config::{Head, VitConfig};
use crate::error::{Error, Result};

pub(super) use names::{Names, Translated};

use config::ConfigFile;

/// The configuration of the checkpoint with these `shapes`, whose tensors have transformers' names if `names` are
/// given. `config_json` and `preprocessor_json` are the texts of the files beside it. `config_json` may have timm's or
/// transformers' format.
pub(super) fn configure(
    shapes: &BTreeMap<String, Vec<usize>>,
    names: Option<&Names>,
    config_json: Option<&str>,
    preprocessor_json: Option<&str>,
) -> Result<VitConfig> {
    let file = config_json.map(ConfigFile::parse).transpose()?.flatten();
    let shapes = match names {
        Some(names) => &names.timm_shapes(shapes)?,
        None => shapes,
    };
    let mut config = match &file {
        Some(file) => {
            let has_head = shapes.contains_key("head.weight");
            infer(shapes, Some(&file.timm_json(has_head)?))?
        }
        None => infer(shapes, config_json)?,
    };
    if let Some(names) = names {
        config.epsilon = names.usual_epsilon();
        if shapes.get("head.weight").is_some_and(|shape| shape.get(1) == Some(&(2 * config.width))) {
            config.head = Head::ClassAndMean;
        }
    }
    if let Some(file) = &file {
        file.check(&config)?;
        config.epsilon = file.epsilon().unwrap_or(config.epsilon);
    }
    if let Some(text) = preprocessor_json {
        preprocessor::apply(text, &mut config)?;
    }
    config.validate()?;
    Ok(config)
}

/// The error for a field whose value in `config.json` is not that of the tensors.
fn disagrees(field: &str, expected: impl std::fmt::Display, got: impl std::fmt::Display) -> Error {
    Error::weights("compare config.json with the checkpoint", format!("{field} {expected}"), format!("{field} {got}"))
}
