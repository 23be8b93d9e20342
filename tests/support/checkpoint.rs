//! A small valid checkpoint with timm's names, in which tests change one thing at a time.

use std::borrow::Cow;
use std::collections::BTreeMap;

use half::{bf16, f16};
use safetensors::{Dtype, View};
use serde_json::{Value, json};
use tcvit::low_level::random::Random;
use tcvit::low_level::weights::Checkpoint;
use tcvit::{Model, Result};

use super::gpu;

/// The sizes of [`Tiny::valid`]: 16 pixels in patches of 4, which gives 16 patch tokens; D = 16, L = 2, F = 32, 5
/// classes.
pub const IMAGE: usize = 16;
pub const PATCH: usize = 4;
pub const WIDTH: usize = 16;
pub const DEPTH: usize = 2;
pub const MLP: usize = 32;
pub const CLASSES: usize = 5;

#[derive(Clone)]
pub struct Tensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// Tensors by name.
#[derive(Clone)]
pub struct Tiny(pub BTreeMap<String, Tensor>);

impl View for &Tensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

impl Tensor {
    pub fn floats(shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    pub fn random(name: &str, shape: &[usize]) -> Self {
        let norms = ["norm.weight", "norm1.weight", "norm2.weight", "bn1.weight", "bn2.weight", "bn3.weight"];
        let norm = norms.iter().any(|norm| name.ends_with(norm));
        // The test for 0 is needed because the product of the other sides could overflow.
        let elements = if shape.contains(&0) { 0 } else { shape.iter().product() };
        let offset = if norm { 1.0 } else { 0.0 };
        Self::floats(shape, &Random::named(name, 9).tensor(elements, offset, 0.25))
    }

    pub fn values(&self) -> Vec<f32> {
        assert_eq!(self.dtype, Dtype::F32);
        self.bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    }
}

impl Tiny {
    pub fn valid() -> Self {
        let mut tiny = Self(BTreeMap::new());
        tiny.insert("cls_token", &[1, 1, WIDTH]);
        tiny.insert("pos_embed", &[1, 1 + (IMAGE / PATCH).pow(2), WIDTH]);
        tiny.insert("patch_embed.proj.weight", &[WIDTH, 3, PATCH, PATCH]);
        tiny.insert("patch_embed.proj.bias", &[WIDTH]);
        for block in 0..DEPTH {
            for (layer, shape) in [
                ("norm1.weight", vec![WIDTH]),
                ("norm1.bias", vec![WIDTH]),
                ("attn.qkv.weight", vec![3 * WIDTH, WIDTH]),
                ("attn.qkv.bias", vec![3 * WIDTH]),
                ("attn.proj.weight", vec![WIDTH, WIDTH]),
                ("attn.proj.bias", vec![WIDTH]),
                ("norm2.weight", vec![WIDTH]),
                ("norm2.bias", vec![WIDTH]),
                ("mlp.fc1.weight", vec![MLP, WIDTH]),
                ("mlp.fc1.bias", vec![MLP]),
                ("mlp.fc2.weight", vec![WIDTH, MLP]),
                ("mlp.fc2.bias", vec![WIDTH]),
            ] {
                tiny.insert(&format!("blocks.{block}.{layer}"), &shape);
            }
        }
        tiny.insert("norm.weight", &[WIDTH]);
        tiny.insert("norm.bias", &[WIDTH]);
        tiny.insert("head.weight", &[CLASSES, WIDTH]);
        tiny.insert("head.bias", &[CLASSES]);
        tiny
    }

    /// [`Tiny::valid`] as an LV-ViT: the stem has 4 channels and is followed by patches of 2; queries, keys and values
    /// have no bias; there is an auxiliary head; and batch norms have the counters that PyTorch stores.
    pub fn lvvit() -> Self {
        let mut tiny = Self::valid().with("patch_embed.proj.weight", &[WIDTH, 4, PATCH / 2, PATCH / 2]);
        for (number, inputs, kernel) in [(1, 3, 7), (2, 4, 3), (3, 4, 3)] {
            tiny.insert(&format!("patch_embed.conv{number}.weight"), &[4, inputs, kernel, kernel]);
            let norm = |part: &str| format!("patch_embed.bn{number}.{part}");
            for part in ["weight", "bias", "running_mean"] {
                tiny.insert(&norm(part), &[4]);
            }
            tiny.0.insert(norm("running_var"), Tensor::floats(&[4], &[0.3, 1.0, 0.7, 1.6]));
            let counter = Tensor { dtype: Dtype::I64, shape: Vec::new(), bytes: 7i64.to_le_bytes().to_vec() };
            tiny.0.insert(norm("num_batches_tracked"), counter);
        }
        tiny.insert("aux_head.weight", &[CLASSES, WIDTH]);
        tiny.insert("aux_head.bias", &[CLASSES]);
        (0..DEPTH).fold(tiny, |tiny, block| tiny.without(&format!("blocks.{block}.attn.qkv.bias")))
    }

    /// Adds or replaces a tensor with random values.
    pub fn insert(&mut self, name: &str, shape: &[usize]) {
        self.0.insert(name.to_owned(), Tensor::random(name, shape));
    }

    pub fn with(mut self, name: &str, shape: &[usize]) -> Self {
        self.insert(name, shape);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        assert!(self.0.remove(name).is_some(), "{name} is not there to be removed");
        self
    }

    /// Replaces one value of a tensor.
    pub fn with_value(mut self, name: &str, at: usize, value: f32) -> Self {
        let tensor = self.0.get_mut(name).unwrap();
        tensor.bytes[4 * at..4 * at + 4].copy_from_slice(&value.to_le_bytes());
        self
    }

    /// Converts all tensors whose name passes `which` to f16 or bf16.
    pub fn halved(mut self, dtype: Dtype, which: impl Fn(&str) -> bool) -> Self {
        for (_, tensor) in self.0.iter_mut().filter(|(name, _)| which(name)) {
            let values = tensor.values();
            tensor.bytes = match dtype {
                Dtype::F16 => values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect(),
                Dtype::BF16 => values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect(),
                other => panic!("{other:?}"),
            };
            tensor.dtype = dtype;
        }
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        safetensors::serialize(self.0.iter(), None).unwrap()
    }

    /// The header as JSON, for tests that change it.
    pub fn header(&self) -> Value {
        let bytes = self.bytes();
        serde_json::from_slice(header_of(&bytes)).unwrap()
    }

    /// The file's bytes with `header` in place of its own.
    pub fn bytes_under(&self, header: &str) -> Vec<u8> {
        let bytes = self.bytes();
        let data = &bytes[8 + header_of(&bytes).len()..];
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    pub fn load(&self, config_json: Option<&str>) -> Result<Model> {
        load(self.bytes(), config_json)
    }
}

pub fn header_of(bytes: &[u8]) -> &[u8] {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    &bytes[8..8 + length]
}

/// A `config.json` that fits [`Tiny::valid`].
pub fn config_json() -> Value {
    json!({ "architecture": "vit_tiny", "num_classes": CLASSES, "model_args": { "num_heads": 2 } })
}

pub fn load(bytes: Vec<u8>, config_json: Option<&str>) -> Result<Model> {
    Model::from_checkpoint(gpu(), Checkpoint::from_bytes(bytes, "tiny.safetensors")?, config_json)
}
