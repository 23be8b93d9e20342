//! A [`Source`] by timm's names for a checkpoint in transformers' names.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Checkpoint, Source};
use crate::error::{Error, Result};

/// The tensor by whose name a checkpoint of transformers is recognised. The text before it is the model's prefix
/// (`vit.`, or nothing).
const MARK: &str = "embeddings.patch_embeddings.projection.weight";

/// Tensors outside the blocks: timm's name, and transformers' name after the model's prefix.
const OUTER: [(&str, &str); 7] = [
    ("patch_embed.proj.weight", MARK),
    ("patch_embed.proj.bias", "embeddings.patch_embeddings.projection.bias"),
    ("cls_token", "embeddings.cls_token"),
    ("dist_token", "embeddings.distillation_token"),
    ("reg_token", "embeddings.register_tokens"),
    ("pos_embed", "embeddings.position_embeddings"),
    ("norm", "layernorm"),
];

/// Heads, whose names have no prefix: timm's name and transformers' names.
const HEADS: [(&str, [&str; 2]); 2] =
    [("head", ["classifier", "cls_classifier"]), ("head_dist", ["distillation_classifier"; 2])];

/// Layers of a block: timm's name, then transformers' names. The first is that of ViT and DeiT until version 4; the
/// second that of DINOv2 or of version 5, which still saves the older names by default.
const LAYERS: [(&str, &[&str]); 7] = [
    ("norm1", &["layernorm_before", "norm1"]),
    ("attn.proj", &["attention.output.dense", "attention.o_proj"]),
    ("ls1.gamma", &["layer_scale1.lambda1"]),
    ("norm2", &["layernorm_after", "norm2"]),
    ("mlp.fc1", &["intermediate.dense", "mlp.fc1"]),
    ("mlp.fc2", &["output.dense", "mlp.fc2"]),
    ("ls2.gamma", &["layer_scale2.lambda1"]),
];

/// Queries, keys and values, which are one layer in timm.
const QKV: [[&str; 3]; 2] = [
    ["attention.attention.query", "attention.attention.key", "attention.attention.value"],
    ["attention.q_proj", "attention.k_proj", "attention.v_proj"],
];

/// The text before a block's number.
const BLOCKS: [&str; 2] = ["encoder.layer.", "layers."];

/// Tensors that no forward here needs: the mask token of pre-training, and the layer with a tanh that ViTModel and
/// DeiTModel apply to the class token. Features are given without it.
const UNUSED: [&str; 3] = ["embeddings.mask_token", "pooler.dense.weight", "pooler.dense.bias"];

/// The tensor names of one checkpoint in transformers' format.
pub(in super::super) struct Names {
    /// `vit.`, `deit.`, `dinov2.`, `dinov2_with_registers.`, or nothing.
    prefix: String,
    present: BTreeSet<String>,
}

impl Names {
    /// `None` when `shapes` are not those of a checkpoint in transformers' names.
    pub(in super::super) fn of(shapes: &BTreeMap<String, Vec<usize>>) -> Option<Self> {
        let mark = shapes.keys().find(|name| name.ends_with(MARK))?;
        let prefix = mark.strip_suffix(MARK).filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))?;
        Some(Self { prefix: prefix.to_owned(), present: shapes.keys().cloned().collect() })
    }

    fn has(&self, below: &str) -> bool {
        self.present.contains(&format!("{}{below}", self.prefix))
    }

    fn blocks(&self) -> String {
        let found = BLOCKS.iter().find(|blocks| {
            let start = format!("{}{blocks}", self.prefix);
            self.present.range(start.clone()..).next().is_some_and(|name| name.starts_with(&start))
        });
        format!("{}{}", self.prefix, found.unwrap_or(&BLOCKS[0]))
    }

    /// Whether the model has registers, as in DINOv2. Registers have no position embedding; the class token has one.
    fn has_registers(&self) -> bool {
        self.has("embeddings.register_tokens")
    }

    /// Whether the distillation token has no head of its own (`DeiTForImageClassification`). It is then treated as a
    /// register token, but has a position embedding.
    fn ignores_distillation(&self) -> bool {
        self.has("embeddings.distillation_token") && self.present.contains("classifier.weight")
    }

    /// Epsilon of the layer norms when there is no `config.json`: that of DINOv2 in a model with LayerScale, and that
    /// of ViT otherwise.
    pub(super) fn usual_epsilon(&self) -> f32 {
        let scale = format!("{}0.layer_scale1.lambda1", self.blocks());
        if self.present.contains(&scale) { 1e-6 } else { 1e-12 }
    }

    /// transformers' names for the tensor that timm calls `name`: one name, or three whose tensors are to be stacked.
    fn resolve(&self, name: &str) -> Vec<String> {
        if let Some((number, layer)) = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) {
            let at = |layer: &str| format!("{}{number}.{layer}", self.blocks());
            if let Some(parameter) = layer.strip_prefix("attn.qkv") {
                let of = |layers: &[&str; 3]| layers.map(|layer| at(&format!("{layer}{parameter}"))).to_vec();
                return self.first_present(QKV.iter().map(of));
            }
            let known = LAYERS.iter().find_map(|(timm, theirs)| Some((layer.strip_prefix(timm)?, theirs)));
            return match known {
                Some((parameter, theirs)) => {
                    self.first_present(theirs.iter().map(|layer| vec![at(&format!("{layer}{parameter}"))]))
                }
                None => vec![at(layer)],
            };
        }
        let parameter = |timm: &str| name.strip_prefix(timm).filter(|rest| rest.is_empty() || rest.starts_with('.'));
        if let Some((rest, theirs)) = HEADS.iter().find_map(|(timm, theirs)| Some((parameter(timm)?, theirs))) {
            return self.first_present(theirs.iter().map(|head| vec![format!("{head}{rest}")]));
        }
        if name == "reg_token" && self.ignores_distillation() {
            return vec![format!("{}embeddings.distillation_token", self.prefix)];
        }
        match OUTER.iter().find_map(|(timm, theirs)| Some((parameter(timm)?, theirs))) {
            Some((rest, theirs)) => vec![format!("{}{theirs}{rest}", self.prefix)],
            None => vec![format!("{}{name}", self.prefix)],
        }
    }

    /// The first candidate that is in the checkpoint. If none is, the first one, so that an error can name it.
    fn first_present(&self, mut candidates: impl Iterator<Item = Vec<String>> + Clone) -> Vec<String> {
        let first = candidates.clone().next().unwrap_or_default();
        candidates.find(|names| names.iter().any(|name| self.present.contains(name))).unwrap_or(first)
    }

    /// The shapes of the same model's tensors in timm's format.
    pub(super) fn timm_shapes(&self, shapes: &BTreeMap<String, Vec<usize>>) -> Result<BTreeMap<String, Vec<usize>>> {
        let blocks = self.blocks();
        let swiglu = ["mlp.weights_in.weight", "mlp.gate_proj.weight"];
        if let Some(name) =
            swiglu.map(|layer| format!("{blocks}0.{layer}")).iter().find(|name| shapes.contains_key(*name))
        {
            return Err(Error::weights(
                "recognise checkpoint",
                "an MLP of two layers with GELU",
                format!("SwiGLU ({name})"),
            ));
        }
        let numbers: BTreeSet<&str> =
            shapes.keys().filter_map(|name| name.strip_prefix(&blocks)?.split('.').next()).collect();
        let in_blocks = numbers.iter().flat_map(|number| {
            let layers = ["norm1.weight", "attn.qkv.bias", "mlp.fc1.weight", "ls1.gamma"];
            layers.map(|layer| format!("blocks.{number}.{layer}"))
        });
        let mut outer = vec!["patch_embed.proj.weight", "reg_token", "pos_embed", "head.weight"];
        if !self.ignores_distillation() {
            outer.push("dist_token");
        }
        let names = outer.into_iter().map(str::to_owned).chain(in_blocks);
        let mut found: BTreeMap<String, Vec<usize>> = names
            .filter_map(|name| {
                let shape = shapes.get(self.resolve(&name).first()?)?.clone();
                Some((name, shape))
            })
            .collect();
        let rows = found.get_mut("pos_embed").and_then(|shape| shape.iter_mut().rev().nth(1));
        if let Some(rows) = rows.filter(|_| self.has_registers()) {
            *rows = rows.saturating_sub(1);
        }
        Ok(found)
    }
}

/// A checkpoint in transformers' names that is read by timm's names.
pub(in super::super) struct Translated<'a> {
    pub(in super::super) names: Names,
    pub(in super::super) checkpoint: &'a mut Checkpoint,
}

impl Translated<'_> {
    /// All rows of a position embedding that includes the class token, which is not counted in `rows`.
    fn position(&mut self, rows: usize, width: usize) -> Result<Vec<f32>> {
        let name = format!("{}embeddings.position_embeddings", self.names.prefix);
        self.checkpoint.take(&name, &[1, rows + 1, width])
    }
}

impl Source for Translated<'_> {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        if let ("pos_embed", true, &[_, rows, width]) = (name, self.names.has_registers(), shape) {
            return Ok(self.position(rows, width)?.split_off(width));
        }
        let parts = self.names.resolve(name);
        let mut part_shape = shape.to_vec();
        if let Some(rows) = part_shape.first_mut().filter(|_| parts.len() > 1) {
            *rows /= parts.len();
        }
        let mut values = Vec::new();
        for part in &parts {
            values.extend(self.checkpoint.take(part, &part_shape)?);
        }
        if let ("cls_token", true, Some(&width)) = (name, self.names.has_registers(), shape.last()) {
            let stored = self.checkpoint.shapes();
            let name = format!("{}embeddings.position_embeddings", self.names.prefix);
            let rows = stored.get(&name).and_then(|shape| shape.iter().rev().nth(1));
            let position = self.position(rows.map_or(0, |rows| rows.saturating_sub(1)), width)?;
            values.iter_mut().zip(position).for_each(|(token, position)| *token += position);
        }
        Ok(values)
    }

    fn ignore(&mut self, name: &str) {
        for part in self.names.resolve(name) {
            self.checkpoint.ignore(&part);
        }
    }

    fn finish(&mut self) -> Result<()> {
        for name in UNUSED {
            self.checkpoint.ignore(&format!("{}{name}", self.names.prefix));
        }
        self.checkpoint.finish()
    }
}
