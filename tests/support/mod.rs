//! Golden outputs, which `scripts/goldens` makes, as test data.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod checkpoint;
pub mod hub;
pub mod require;
pub mod small;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use safetensors::SafeTensors;
use serde::Deserialize;
use tcvit::condensation::{Condensation, Mean, Method, Metric, Reducer, Score, Weights};
use tcvit::config::{Head, Position, Stem, VitConfig};
use tcvit::{Context, ContextOptions, LoadOptions, Model, Precision};

/// One device for all tests of a binary.
pub fn gpu() -> &'static Context {
    static GPU: OnceLock<Context> = OnceLock::new();
    GPU.get_or_init(|| {
        require::check();
        Context::open(ContextOptions::new()).expect("a Vulkan, Metal or DX12 adapter (scripts/test installs Mesa's)")
    })
}

/// A path in the repository. Tests of the program's package use it, too.
pub fn repository(path: &str) -> PathBuf {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.find(|folder| folder.join("Cargo.lock").is_file()).expect("a workspace has a Cargo.lock").join(path)
}

/// The value of `golden` in the header of a golden file.
#[derive(Deserialize)]
pub struct Golden {
    pub seed: Option<u64>,
    pub batch: usize,
    pub config: GoldenConfig,
    pub cases: Vec<Case>,
}

#[derive(Deserialize)]
pub struct GoldenConfig {
    image: usize,
    patch: usize,
    width: usize,
    depth: usize,
    heads: usize,
    mlp: usize,
    classes: usize,
    distilled: bool,
    registers: usize,
    layer_scale: bool,
    fc_norm: bool,
    position_covers_prefix: bool,
    epsilon: f32,
    /// The fields from here on are for LV-ViT.
    stem_channels: Option<usize>,
    #[serde(default)]
    token_max: bool,
    qkv_bias: Option<bool>,
    residual_divisor: Option<f32>,
}

/// A condensation, and the tensors of the golden file that belong to it by name.
#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub batch: usize,
    drop: Vec<usize>,
    metric: String,
    method: String,
    steps: u32,
    order: u32,
    alpha: f32,
    beta: f32,
    normalise: bool,
    mean: String,
    score: String,
    exponent: f32,
    size_exponent: f32,
    weights: String,
    proportional_attention: bool,
    reducer: String,
    random_seed: u64,
}

impl GoldenConfig {
    pub fn vit(&self) -> VitConfig {
        let mut config = VitConfig::new(self.image, self.patch, self.width, self.depth, self.heads, self.classes);
        config.mlp = self.mlp;
        config.registers = self.registers;
        config.layer_scale = self.layer_scale;
        config.position =
            if self.position_covers_prefix { Position::LearnedForAll } else { Position::LearnedForPatches };
        config.epsilon = self.epsilon;
        config.stem = self.stem_channels.map_or(config.stem, |channels| Stem::Convolutional { channels });
        config.qkv_bias = self.qkv_bias.unwrap_or(config.qkv_bias);
        config.residual_divisor = self.residual_divisor.unwrap_or(config.residual_divisor);
        config.head = match (self.distilled, self.fc_norm) {
            _ if self.token_max => Head::ClassAndTokenMax,
            (true, _) => Head::ClassAndDistillation,
            (_, true) => Head::MeanPooled,
            _ => Head::ClassToken,
        };
        config
    }
}

impl Case {
    pub fn condensation(&self) -> Condensation {
        let mut c = Condensation::paper().schedule(self.drop.clone());
        c.metric = match self.metric.as_str() {
            "attention" => Metric::Attention,
            "key_cosine" => Metric::KeyCosine,
            "cosine" => Metric::Cosine,
            "dot" => Metric::Dot,
            "euclidean" => Metric::Euclidean,
            other => panic!("metric {other}"),
        };
        c.method = match self.method.as_str() {
            "power_sum" => Method::PowerSum,
            "newton" => Method::Newton(self.steps),
            other => panic!("method {other}"),
        };
        c.mean = match self.mean.as_str() {
            "column" => Mean::Column,
            "row" => Mean::Row,
            other => panic!("mean {other}"),
        };
        c.score = match self.score.as_str() {
            "combined" => Score::Combined,
            "connectivity" => Score::Connectivity,
            "dominance" => Score::Dominance,
            "uniqueness" => Score::Uniqueness { exponent: self.exponent, size_exponent: self.size_exponent },
            other => panic!("score {other}"),
        };
        c.weights = match self.weights.as_str() {
            "connectivity" => Weights::Connectivity,
            "size" => Weights::Size,
            "none" => Weights::None,
            other => panic!("weights {other}"),
        };
        c.reducer = match self.reducer.as_str() {
            "connectivity" => Reducer::Connectivity,
            "tome" => Reducer::Tome,
            "evit" => Reducer::Evit,
            "prune" => Reducer::Prune,
            "random" => Reducer::Random { seed: self.random_seed },
            other => panic!("reducer {other}"),
        };
        (c.order, c.alpha, c.beta) = (self.order, self.alpha, self.beta);
        (c.normalise, c.proportional_attention) = (self.normalise, self.proportional_attention);
        c
    }
}

/// A golden file and its model.
pub struct Fixture {
    pub golden: Golden,
    pub model: Model,
    pub pixels: Vec<f32>,
    bytes: Vec<u8>,
}

impl Fixture {
    /// Loads the model in f32, which is the precision of the golden outputs.
    pub fn load(name: &str) -> Self {
        Self::load_in(name, Precision::F32)
    }

    pub fn load_in(name: &str, precision: Precision) -> Self {
        let bytes = std::fs::read(repository(&format!("tests/goldens/{name}.safetensors"))).unwrap();
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        let golden: Golden = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["golden"]).unwrap();
        let mut fixture = match golden.seed {
            Some(seed) => {
                let config = golden.config.vit();
                let pixels = tcvit::low_level::random::Random::named("pixels", seed).tensor(
                    golden.batch * config.pixels(),
                    0.0,
                    1.5,
                );
                let model = Model::random_with(gpu(), &config, seed, &stored_in(precision)).unwrap();
                Self { golden, model, pixels, bytes }
            }
            None => {
                let path = repository("assets/models/vit_cifar10_32");
                let model = Model::load_with(gpu(), path, &stored_in(precision)).unwrap();
                Self { golden, model, pixels: Vec::new(), bytes }
            }
        };
        if fixture.pixels.is_empty() {
            fixture.pixels = fixture.floats("pixels").unwrap();
        }
        fixture
    }

    /// Normalised pixels of the first `images` images.
    pub fn images(&self, images: usize) -> &[f32] {
        &self.pixels[..self.pixels.len() / self.golden.batch * images]
    }

    pub fn floats(&self, name: &str) -> Option<Vec<f32>> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let data = file.tensor(name).ok()?.data().to_vec();
        Some(data.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
    }

    pub fn indices(&self, name: &str) -> Option<Vec<u32>> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let data = file.tensor(name).ok()?.data().to_vec();
        Some(data.as_chunks::<4>().0.iter().map(|&b| u32::from_le_bytes(b)).collect())
    }
}

/// Loads a model stored in `precision`, whatever the device prefers.
pub fn stored_in(precision: Precision) -> LoadOptions {
    LoadOptions::new().precision(precision)
}

/// The largest difference relative to the largest expected magnitude; NaN if any number is NaN or the lengths differ.
pub fn relative(got: &[f32], expected: &[f32]) -> f64 {
    if got.len() != expected.len() || got.is_empty() {
        return f64::NAN;
    }
    let scale = expected.iter().fold(0.0f64, |most, v| most.max(f64::from(v.abs())));
    let differences = got.iter().zip(expected).map(|(g, e)| (f64::from(*g) - f64::from(*e)).abs() / scale);
    differences.fold(0.0, |most, d| if d.is_nan() || most.is_nan() { f64::NAN } else { most.max(d) })
}

/// The first `take` tokens of each image of features [B, tokens, width].
pub fn first_tokens(features: &[f32], tokens: usize, width: usize, take: usize) -> Vec<f32> {
    features.chunks_exact(tokens * width).flat_map(|image| &image[..take * width]).copied().collect()
}
