//! A model's configuration from its tensors' shapes and the `config.json` beside them. Shapes give the sizes. The file
//! gives heads, normalisation and labels. A value that both give must be the same.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::{Head, Position, Stem, VitConfig};
use crate::error::{Error, Result};

/// The fields of timm's `config.json` that are used here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ConfigFile {
    architecture: String,
    num_classes: Option<usize>,
    label_names: Vec<String>,
    global_pool: Option<String>,
    model_args: ModelArgs,
    pretrained_cfg: PretrainedConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ModelArgs {
    num_heads: Option<usize>,
    skip_lam: Option<f32>,
    no_embed_class: Option<bool>,
    global_pool: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PretrainedConfig {
    mean: Option<[f32; 3]>,
    std: Option<[f32; 3]>,
    crop_pct: Option<f64>,
    interpolation: Option<String>,
}

/// The configuration of the checkpoint with these `shapes`. `config_json` is the text of the file beside it, if there
/// is one.
pub(crate) fn infer(shapes: &BTreeMap<String, Vec<usize>>, config_json: Option<&str>) -> Result<VitConfig> {
    let file: ConfigFile = match config_json {
        None => ConfigFile::default(),
        Some(text) => serde_json::from_str(text)
            .map_err(|error| Error::weights("read config.json", "timm's format", error.to_string()).caused_by(error))?,
    };
    let [width, channels, mut patch, _] = shape(shapes, "patch_embed.proj.weight")?;
    let convolutional = shapes.keys().any(|name| name.starts_with("patch_embed.conv"));
    if convolutional {
        // The stem halves the image before patches are cut.
        patch = patch.saturating_mul(2);
    }
    let [mlp, _] = shape(shapes, "blocks.0.mlp.fc1.weight")?;
    let rows = match rank::<3>(shapes, "pos_embed") {
        Some([_, rows, _]) => rows,
        None => shape::<2>(shapes, "pos_embed")?[0],
    };
    let blocks = shapes.keys().filter_map(|name| name.strip_prefix("blocks.")?.split('.').next()?.parse().ok());
    let depth = blocks.max().map_or(0, |last: usize| last.saturating_add(1));
    let classes = rank::<2>(shapes, "head.weight").map_or(0, |[classes, _]| classes);
    let has = |name: &str| shapes.contains_key(name);
    let head = match (has("dist_token"), has("fc_norm.weight")) {
        _ if has("aux_head.weight") => Head::ClassAndTokenMax,
        (true, _) => Head::ClassAndDistillation,
        (_, true) => Head::MeanPooled,
        _ => Head::ClassToken,
    };
    // [1, registers, D]. A tensor of another rank is refused by name when it is loaded.
    let registers = shapes.get("reg_token").map_or(0, |shape| shape.iter().rev().nth(1).copied().unwrap_or(1));
    // A head that reads the class token needs one. If the tensor is missing, loading names it.
    let class_token = has("cls_token") || head != Head::MeanPooled;
    let prefix = registers.saturating_add(usize::from(class_token) + usize::from(head == Head::ClassAndDistillation));
    let (covers, side) = grid(rows, prefix, file.model_args.no_embed_class)?;

    let mut config = VitConfig::new(side.saturating_mul(patch), patch, width, depth, 1, classes);
    config.mlp = mlp;
    config.head = head;
    config.class_token = class_token;
    config.registers = registers;
    config.pre_norm = has("norm_pre.weight");
    config.position = if covers { Position::LearnedForAll } else { Position::LearnedForPatches };
    config.qkv_bias = has("blocks.0.attn.qkv.bias");
    config.layer_scale = has("blocks.0.ls1.gamma");
    config.heads = published_heads(&file.architecture, width);
    if convolutional {
        config.stem = Stem::Convolutional { channels };
        config.published_lvvit();
    }
    config.heads = file.model_args.num_heads.unwrap_or(config.heads);
    config.residual_divisor = file.model_args.skip_lam.unwrap_or(config.residual_divisor);
    config.labels = file.label_names;
    let pretrained = file.pretrained_cfg;
    config.mean = pretrained.mean.unwrap_or(config.mean);
    config.std = pretrained.std.unwrap_or(config.std);
    config.crop = pretrained.crop_pct.unwrap_or(config.crop);
    config.interpolation = pretrained.interpolation.unwrap_or(config.interpolation);

    if let Some(expected) = file.num_classes.filter(|&n| n != classes) {
        return Err(disagrees(format!("num_classes {expected}"), format!("a head of {classes} classes")));
    }
    let pool = file.model_args.global_pool.or(file.global_pool);
    let pools = head == Head::MeanPooled;
    if let Some(pool) = pool.filter(|pool| (pool == "avg") != pools && classes > 0) {
        let found = if pools { "a checkpoint with fc_norm" } else { "a checkpoint without fc_norm" };
        return Err(disagrees(format!("global_pool {pool}"), found.to_owned()));
    }
    config.validate()?;
    Ok(config)
}

fn disagrees(expected: String, got: String) -> Error {
    Error::weights("compare config.json with the checkpoint", expected, got)
}

fn rank<const D: usize>(shapes: &BTreeMap<String, Vec<usize>>, name: &str) -> Option<[usize; D]> {
    shapes.get(name)?.as_slice().try_into().ok()
}

fn shape<const D: usize>(shapes: &BTreeMap<String, Vec<usize>>, name: &str) -> Result<[usize; D]> {
    rank(shapes, name).ok_or_else(|| {
        let got = shapes.get(name).map_or("no tensor of that name".to_owned(), |shape| format!("shape {shape:?}"));
        Error::weights("recognise checkpoint", format!("a ViT in timm's names: {name} of rank {D}"), got)
    })
}

/// Whether `rows` of the position embedding include the prefix, and the side of the square grid of patches.
fn grid(rows: usize, prefix: usize, no_embed_class: Option<bool>) -> Result<(bool, usize)> {
    let side = |patches: usize| Some(patches.isqrt()).filter(|side| *side > 0 && side * side == patches);
    let covering = rows.checked_sub(prefix).and_then(side).map(|side| (true, side));
    let bare = side(rows).map(|side| (false, side));
    // Both can fit (9 = 2^2 + 5 = 3^2). Then the file decides. Without the file, models with registers have no rows for
    // the prefix.
    let found = match no_embed_class {
        Some(true) => bare.or(covering),
        Some(false) => covering.or(bare),
        None if prefix > 2 => bare.or(covering),
        None => covering.or(bare),
    };
    found.ok_or_else(|| {
        Error::weights(
            "recognise checkpoint",
            "a position embedding for a square grid of patches",
            format!("{rows} rows with {prefix} prefix tokens"),
        )
    })
}

/// The number of heads: that of the published models whose head width is not 64, by timm's architecture names, and
/// `width / 64` otherwise.
fn published_heads(architecture: &str, width: usize) -> usize {
    let known = [("vit_huge", 16), ("vit_giant_patch14_224", 16), ("vit_gigantic", 16), ("vit_so400m", 16)];
    known.into_iter().find(|(name, _)| architecture.starts_with(name)).map_or((width / 64).max(1), |(_, heads)| heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_rows_tell_the_grid() {
        assert_eq!(grid(197, 1, None).unwrap(), (true, 14));
        assert_eq!(grid(198, 2, None).unwrap(), (true, 14));
        assert_eq!(grid(1369, 5, None).unwrap(), (false, 37));
        assert_eq!(grid(9, 5, None).unwrap(), (false, 3));
        assert_eq!(grid(9, 5, Some(false)).unwrap(), (true, 2));
        assert!(grid(200, 1, None).is_err() && grid(1, 1, None).is_ok() && grid(0, 1, None).is_err());
    }

    /// Shapes of the tensors that distinguish an LV-ViT from other models, and one LV-ViT from another.
    fn lvvit(config: &VitConfig) -> BTreeMap<String, Vec<usize>> {
        let (d, c) = (config.width, config.patch_channels());
        let last = format!("blocks.{}.norm1.weight", config.depth - 1);
        let shapes = [
            ("patch_embed.conv1.weight", vec![c, 3, 7, 7]),
            ("patch_embed.proj.weight", vec![d, c, 8, 8]),
            ("pos_embed", vec![1, config.tokens(), d]),
            ("blocks.0.mlp.fc1.weight", vec![config.mlp, d]),
            (&last, vec![d]),
            ("head.weight", vec![1000, d]),
            ("aux_head.weight", vec![1000, d]),
        ];
        shapes.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect()
    }

    #[test]
    fn lvvit_is_told_by_its_shapes() {
        for preset in ["lvvit_t", "lvvit_s", "lvvit_m", "lvvit_l"] {
            let config = VitConfig::preset(preset).unwrap();
            assert_eq!(infer(&lvvit(&config), None).unwrap(), config, "{preset}");
        }
        let heads = |preset| VitConfig::preset(preset).unwrap().heads;
        assert_eq!(["lvvit_t", "lvvit_s", "lvvit_m", "lvvit_l"].map(heads), [4, 6, 8, 12]);
    }

    #[test]
    fn the_file_overrides_what_the_width_tells() {
        let config = VitConfig::preset("lvvit_s").unwrap();
        let file = r#"{ "model_args": { "num_heads": 12, "skip_lam": 1.5 }, "pretrained_cfg": { "crop_pct": 0.8 } }"#;
        let got = infer(&lvvit(&config), Some(file)).unwrap();
        assert_eq!((got.heads, got.residual_divisor, got.crop), (12, 1.5, 0.8));
        for wrong in ["0", "-1", "1e39"] {
            let file = format!(r#"{{ "model_args": {{ "skip_lam": {wrong} }} }}"#);
            assert!(infer(&lvvit(&config), Some(&file)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_huge_model_has_sixteen_heads() {
        assert_eq!(published_heads("vit_huge_patch14_224", 1280), 16);
        assert_eq!(published_heads("deit_small_patch16_224", 384), 6);
    }
}
