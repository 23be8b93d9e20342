//! The cases that are compared: a network's weights and a batch of pixels, in files that every system reads.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tcvit::VitConfig;
use tcvit::low_level::random::Random;

use crate::Failure;

/// One network at one batch size.
pub struct Case {
    /// Name of the network among tcvit's presets.
    pub model: String,
    /// Its shape.
    pub config: VitConfig,
    /// Images in the batch.
    pub batch: usize,
    /// R of the condensed forwards, as in the paper for this network.
    pub drop: usize,
    /// A safetensors file in f32, with timm's names.
    pub weights: PathBuf,
    /// Normalised pixels [B, 3, image, image].
    pub pixels: Vec<f32>,
    folder: PathBuf,
}

impl Case {
    /// Writes the weights of `model` below `folder` and makes a batch of pixels.
    pub fn write(model: &str, batch: usize, seed: u64, folder: &Path) -> Result<Self, Failure> {
        let drop = match model {
            "deit_tiny" => 14,
            "deit_small" | "deit_base" => 16,
            _ => return Err(format!("unknown network {model}: there are deit_tiny, deit_small and deit_base").into()),
        };
        let config = VitConfig::preset(model)?;
        std::fs::create_dir_all(folder)?;
        let weights = folder.join(format!("{model}.safetensors"));
        write_weights(&config, seed, &weights)?;
        let pixels = Random::named("pixels", seed).tensor(batch * config.pixels(), 0.0, 1.5);
        Ok(Self { model: model.into(), config, batch, drop, weights, pixels, folder: folder.into() })
    }

    /// R of each block for ToMe, which can merge at most half of the patch tokens.
    pub fn tome_drops(&self) -> Vec<usize> {
        let mut patches = self.config.patches();
        let drop = |_| {
            let drop = self.drop.min(patches / 2);
            patches -= drop;
            drop
        };
        (0..self.config.depth).map(drop).collect()
    }

    /// Writes the pixels and the named logits [B, classes] that they must give, for systems outside this program.
    pub fn write_expected(&self, expected: &[(&str, &[f32])]) -> Result<PathBuf, Failure> {
        let [height, width] = self.config.image;
        let pixels = (vec![self.batch, 3, height, width], bytemuck::cast_slice(&self.pixels));
        let logits = |values| (vec![self.batch, self.config.classes], bytemuck::cast_slice::<f32, u8>(values));
        let tensors = std::iter::once(("pixels", pixels))
            .chain(expected.iter().map(|(name, values)| (*name, logits(values))))
            .map(|(name, (shape, bytes))| Ok((name, TensorView::new(Dtype::F32, shape, bytes)?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        let facts = [("model", self.model.clone()), ("drop", self.drop.to_string())];
        let facts = HashMap::from(facts.map(|(name, value)| (name.to_string(), value)));
        let path = self.folder.join(format!("{}-b{}.case.safetensors", self.model, self.batch));
        safetensors::serialize_to_file(tensors, Some(facts), &path)?;
        Ok(path)
    }
}

/// Names and shapes of the tensors of a DeiT without distillation, as timm names them.
fn shapes(config: &VitConfig) -> Vec<(String, Vec<usize>)> {
    let (width, mlp) = (config.width, config.mlp);
    let mut shapes = Vec::new();
    let mut add = |name: &str, shape: &[usize]| shapes.push((name.to_string(), shape.to_vec()));
    let mut both = |name: &str, shape: &[usize]| {
        add(&format!("{name}.weight"), shape);
        add(&format!("{name}.bias"), &shape[..1]);
    };
    both("patch_embed.proj", &[width, 3, config.patch, config.patch]);
    for block in 0..config.depth {
        both(&format!("blocks.{block}.norm1"), &[width]);
        both(&format!("blocks.{block}.attn.qkv"), &[3 * width, width]);
        both(&format!("blocks.{block}.attn.proj"), &[width, width]);
        both(&format!("blocks.{block}.norm2"), &[width]);
        both(&format!("blocks.{block}.mlp.fc1"), &[mlp, width]);
        both(&format!("blocks.{block}.mlp.fc2"), &[width, mlp]);
    }
    both("norm", &[width]);
    both("head", &[config.classes, width]);
    add("cls_token", &[1, 1, width]);
    add("pos_embed", &[1, config.tokens(), width]);
    shapes
}

fn write_weights(config: &VitConfig, seed: u64, path: &Path) -> Result<(), Failure> {
    let values: Vec<(String, Vec<usize>, Vec<f32>)> = shapes(config)
        .into_iter()
        .map(|(name, shape)| {
            let (offset, scale) = distribution(&name, &shape);
            let values = Random::named(&name, seed).tensor(shape.iter().product(), offset, scale);
            (name, shape, values)
        })
        .collect();
    let tensors = values
        .iter()
        .map(|(name, shape, values)| {
            Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values))?))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    Ok(safetensors::serialize_to_file(tensors, None, path)?)
}

/// Mean and half width of a tensor's values. They keep the size of numbers from block to block. Queries and keys are
/// large enough that attention is not uniform, so that an error in attention would show.
fn distribution(name: &str, shape: &[usize]) -> (f64, f64) {
    let fan_in: usize = shape.iter().skip(1).product();
    match name {
        "cls_token" | "pos_embed" => (0.0, 0.5),
        _ if name.ends_with(".bias") => (0.0, 0.1),
        _ if shape.len() == 1 => (1.0, 0.1),
        _ if name.ends_with("qkv.weight") => (0.0, 2.0 * (3.0 / fan_in as f64).sqrt()),
        _ => (0.0, (3.0 / fan_in as f64).sqrt()),
    }
}
