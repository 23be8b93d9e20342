//! transformers' `config.json`: the values that the tensors' shapes do not give, and a check of those that they do.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::disagrees;
use crate::config::VitConfig;
use crate::error::{Error, Result};

/// Model types that have the forward of this crate.
const MODEL_TYPES: [&str; 4] = ["vit", "deit", "dinov2", "dinov2_with_registers"];

/// One side, or height and width.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Side {
    One(usize),
    Two([usize; 2]),
}

impl Side {
    fn is(self, sides: [usize; 2]) -> bool {
        match self {
            Side::One(one) => sides == [one; 2],
            Side::Two(two) => sides == two,
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Side::One(side) => write!(f, "{side}"),
            Side::Two([rows, columns]) if rows == columns => write!(f, "{rows}"),
            Side::Two(sides) => write!(f, "{sides:?}"),
        }
    }
}

/// The fields that are used here. An absent field has transformers' default, or is not checked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConfigFile {
    model_type: String,
    hidden_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    intermediate_size: Option<usize>,
    mlp_ratio: Option<f64>,
    image_size: Option<Side>,
    patch_size: Option<Side>,
    num_register_tokens: Option<usize>,
    layer_norm_eps: Option<f32>,
    hidden_act: Option<String>,
    use_swiglu_ffn: bool,
    id2label: BTreeMap<String, String>,
}

impl ConfigFile {
    /// Parses the file; `None` for one without `model_type`, which has timm's format.
    pub(super) fn parse(text: &str) -> Result<Option<Self>> {
        #[derive(Deserialize)]
        struct Kind {
            model_type: Option<String>,
        }
        let malformed = |error: serde_json::Error| {
            Error::weights("read config.json", "transformers' format", error.to_string()).caused_by(error)
        };
        // Text that is not a JSON object is refused by the reader of timm's format.
        let Ok(Kind { model_type: Some(kind) }) = serde_json::from_str(text) else { return Ok(None) };
        if !MODEL_TYPES.contains(&kind.as_str()) {
            let expected = format!("model_type one of {}", MODEL_TYPES.join(", "));
            return Err(Error::weights("read config.json", expected, kind));
        }
        let file: Self = serde_json::from_str(text).map_err(malformed)?;
        if let Some(act) = file.hidden_act.as_deref().filter(|act| *act != "gelu") {
            return Err(Error::weights("read config.json", "hidden_act gelu (the exact one)", act));
        }
        if file.use_swiglu_ffn {
            return Err(Error::weights("read config.json", "an MLP of two layers with GELU", "use_swiglu_ffn true"));
        }
        Ok(Some(file))
    }

    /// timm's `config.json` for the same model. Labels are given only for a model with a head: a fine-tuned model's
    /// backbone has none.
    pub(super) fn timm_json(&self, has_head: bool) -> Result<String> {
        let labels = if has_head { self.labels()? } else { Vec::new() };
        let classes = Some(labels.len()).filter(|classes| *classes > 0);
        let text = json!({
            "num_classes": classes,
            "label_names": labels,
            "model_args": { "num_heads": self.num_attention_heads },
        });
        Ok(text.to_string())
    }

    /// Names of the classes, in the order of their numbers.
    fn labels(&self) -> Result<Vec<String>> {
        let count = self.id2label.len();
        let mut labels = vec![None; count];
        for (number, label) in &self.id2label {
            let slot = number.parse().ok().and_then(|number: usize| labels.get_mut(number));
            let slot = slot.ok_or_else(|| {
                let expected = format!("id2label with numbers 0 to {}", count.saturating_sub(1));
                Error::weights("read config.json", expected, format!("{number:?}"))
            })?;
            *slot = Some(label.clone());
        }
        labels.into_iter().collect::<Option<Vec<String>>>().ok_or_else(|| {
            Error::weights(
                "read config.json",
                format!("id2label with {count} different numbers"),
                "the same number twice".to_owned(),
            )
        })
    }

    /// Epsilon of the layer norms, if the file gives it: 1e-12 in ViT and DeiT, 1e-6 in DINOv2.
    pub(super) fn epsilon(&self) -> Option<f32> {
        self.layer_norm_eps
    }

    /// Checks that the tensors are those of the model that the file describes.
    pub(super) fn check(&self, config: &VitConfig) -> Result<()> {
        let require = |field: &str, said: Option<usize>, found: usize| match said.filter(|said| *said != found) {
            Some(said) => Err(disagrees(field, said, found)),
            None => Ok(()),
        };
        require("hidden_size", self.hidden_size, config.width)?;
        require("num_hidden_layers", self.num_hidden_layers, config.depth)?;
        require("intermediate_size", self.intermediate_size, config.mlp)?;
        let mlp = self.mlp_ratio.map(|ratio| (config.width as f64 * ratio) as usize);
        require("hidden_size times mlp_ratio", mlp.filter(|_| self.intermediate_size.is_none()), config.mlp)?;
        if self.model_type == "dinov2_with_registers" {
            require("num_register_tokens", self.num_register_tokens, config.registers)?;
        }
        for (field, said, found) in
            [("image_size", self.image_size, config.image), ("patch_size", self.patch_size, [config.patch; 2])]
        {
            if let Some(said) = said.filter(|said| !said.is(found)) {
                return Err(disagrees(field, said, Side::Two(found)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        ConfigFile::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn another_architecture_is_named() {
        assert!(refused(r#"{ "model_type": "swin" }"#).contains("dinov2_with_registers, got swin"));
        assert!(refused(r#"{ "model_type": "vit", "hidden_act": "quick_gelu" }"#).contains("got quick_gelu"));
        assert!(refused(r#"{ "model_type": "dinov2", "use_swiglu_ffn": true }"#).contains("swiglu"));
        assert!(refused(r#"{ "model_type": "vit", "hidden_size": "wide" }"#).contains("transformers' format"));
        assert!(ConfigFile::parse(r#"{ "architecture": "vit_tiny" }"#).unwrap().is_none());
    }

    #[test]
    fn labels_are_ordered_by_number() {
        let labels = |map: &str| {
            let text = format!(r#"{{ "model_type": "vit", "id2label": {map} }}"#);
            ConfigFile::parse(&text).unwrap().unwrap().labels()
        };
        let eleven: BTreeMap<String, String> = (0..11).map(|i| (i.to_string(), format!("class {i}"))).collect();
        assert_eq!(labels(&json!(eleven).to_string()).unwrap()[10], "class 10");
        assert!(labels(r#"{ "0": "a", "2": "b" }"#).unwrap_err().to_string().contains("0 to 1, got \"2\""));
        assert!(labels(r#"{ "0": "a", "00": "b" }"#).unwrap_err().to_string().contains("2 different numbers"));
    }
}
