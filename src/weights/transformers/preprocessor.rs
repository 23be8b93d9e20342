//! transformers' `preprocessor_config.json`: resize, crop and normalisation.

use serde::Deserialize;

use crate::config::VitConfig;
use crate::error::{Error, Result};

const OP: &str = "read preprocessor_config.json";

/// timm's names of the filters, in the order of Pillow's numbers.
const FILTERS: [&str; 6] = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"];

/// One number, or a dictionary. Some processors take a number as both sides of a square, others as the short side.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
enum Size {
    One(usize),
    Square { height: usize, width: usize },
    Short { shortest_edge: usize },
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Processor {
    #[serde(alias = "feature_extractor_type")]
    image_processor_type: String,
    do_resize: bool,
    do_center_crop: Option<bool>,
    do_rescale: bool,
    do_normalize: bool,
    rescale_factor: f64,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
    resample: Option<usize>,
    size: Option<Size>,
    crop_size: Option<Size>,
}

impl Default for Processor {
    fn default() -> Self {
        Self {
            image_processor_type: String::new(),
            do_resize: true,
            do_center_crop: None,
            do_rescale: true,
            do_normalize: true,
            rescale_factor: 1.0 / 255.0,
            image_mean: None,
            image_std: None,
            resample: None,
            size: None,
            crop_size: None,
        }
    }
}

impl Processor {
    /// Whether a number means both sides. ViT's and DeiT's processors use it for both sides and squash an image that is
    /// not square. BiT's, which DINOv2 uses, takes it as the short side.
    fn squashes(&self) -> bool {
        self.image_processor_type.starts_with("ViT") || self.image_processor_type.starts_with("DeiT")
    }
}

/// Sets the preprocessing of `config` as `text` describes it. The side of the network's image stays the model's own:
/// the file decides which part of the resized image the model sees.
pub(super) fn apply(text: &str, config: &mut VitConfig) -> Result<()> {
    let file: Processor = serde_json::from_str(text).map_err(|error| {
        Error::weights(OP, "an image processor in transformers' format", error.to_string()).caused_by(error)
    })?;
    let unsupported = |expected: &str, got: String| Err(Error::weights(OP, expected, got));
    if !(file.do_resize && file.do_rescale) {
        let got = format!("do_resize {}, do_rescale {}", file.do_resize, file.do_rescale);
        return unsupported("an image processor that resizes and rescales", got);
    }
    if (file.rescale_factor * 255.0 - 1.0).abs() > 1e-6 {
        return unsupported("rescale_factor 1 / 255", file.rescale_factor.to_string());
    }
    // transformers' defaults for fields that the file does not set.
    (config.mean, config.std) = ([0.5; 3], [0.5; 3]);
    if file.do_normalize {
        config.mean = file.image_mean.unwrap_or(config.mean);
        config.std = file.image_std.unwrap_or(config.std);
    } else {
        (config.mean, config.std) = ([0.0; 3], [1.0; 3]);
    }
    let usual = if file.image_processor_type.starts_with("ViT") { 2 } else { 3 };
    let filter = file.resample.unwrap_or(usual);
    match FILTERS.get(filter) {
        Some(name) => config.interpolation = (*name).to_owned(),
        None => return unsupported("resample 0 to 5, Pillow's numbers", filter.to_string()),
    }

    let (resized, squash) = match file.size {
        Some(Size::One(side)) => (side, file.squashes()),
        Some(Size::Short { shortest_edge }) => (shortest_edge, false),
        Some(Size::Square { height, width }) if height == width => (width, true),
        None => (config.image[0], file.squashes()),
        Some(other) => return unsupported("a square size", format!("{other:?}")),
    };
    let crops = file.do_center_crop.unwrap_or(file.crop_size.is_some());
    let side = match file.crop_size.filter(|_| crops) {
        Some(Size::One(side)) => side,
        Some(Size::Square { height, width }) if height == width => width,
        None => resized,
        Some(other) => return unsupported("a square crop_size", format!("{other:?}")),
    };
    if side == 0 || side > resized {
        return unsupported("a crop_size of at most the size", format!("crop_size {side}, size {resized}"));
    }
    config.squash = squash;
    config.crop = side as f64 / resized as f64;
    // The resized side is side / crop rounded down. The rounding of this division must not make it smaller.
    if side as f64 / config.crop < resized as f64 {
        config.crop = config.crop.next_down();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(text: &str) -> VitConfig {
        let mut config = VitConfig::new(224, 16, 192, 2, 3, 10);
        apply(text, &mut config).unwrap();
        config
    }

    #[test]
    fn published_files_are_understood() {
        // google/vit-base-patch16-224
        let vit = applied(
            r#"{ "do_normalize": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
                 "resample": 2, "size": 224, "feature_extractor_type": "ViTFeatureExtractor" }"#,
        );
        assert_eq!((vit.squash, vit.crop, vit.interpolation.as_str(), vit.mean), (true, 1.0, "bilinear", [0.5; 3]));
        // facebook/deit-tiny-patch16-224
        let deit = applied(
            r#"{ "crop_size": 224, "do_center_crop": true, "feature_extractor_type": "DeiTFeatureExtractor",
                 "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3, "size": 256 }"#,
        );
        assert_eq!((deit.squash, deit.crop, deit.interpolation.as_str()), (true, 0.875, "bicubic"));
        // facebook/dinov2-small
        let dinov2 = applied(
            r#"{ "crop_size": { "height": 224, "width": 224 }, "do_center_crop": true, "do_rescale": true,
                 "image_mean": [0.485, 0.456, 0.406], "image_processor_type": "BitImageProcessor", "resample": 3,
                 "rescale_factor": 0.00392156862745098, "size": { "shortest_edge": 256 } }"#,
        );
        assert_eq!((dinov2.squash, dinov2.crop, dinov2.mean[0]), (false, 0.875, 0.485));
    }

    #[test]
    fn every_crop_keeps_the_resized_side() {
        for resized in 1..600 {
            for side in [1, 7, 32, 96, 224, 384].into_iter().filter(|side| *side <= resized) {
                let config = applied(&format!(r#"{{ "size": {resized}, "crop_size": {side} }}"#));
                assert_eq!((side as f64 / config.crop).floor(), resized as f64, "{side} of {resized}");
            }
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (text, part) in [
            ("42", "image processor"),
            (r#"{ "do_resize": false }"#, "do_resize false"),
            (r#"{ "rescale_factor": 1 }"#, "1 / 255"),
            (r#"{ "resample": 9 }"#, "got 9"),
            (r#"{ "size": { "height": 224, "width": 448 } }"#, "square size"),
            (r#"{ "size": 224, "crop_size": 256 }"#, "crop_size 256, size 224"),
            (r#"{ "size": 0 }"#, "size 0"),
        ] {
            let error = apply(text, &mut VitConfig::new(224, 16, 192, 2, 3, 10)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
