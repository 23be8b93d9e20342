//! Compares models saved by Hugging Face transformers with transformers' own forward, and image sizes other than the
//! checkpoint's with timm's. `scripts/goldens/transformers_models.py` writes both. Run with `--nocapture` for the
//! figures.

mod image_size;
mod refusals;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use support::{first_tokens, gpu, relative, repository, stored_in};
use tcvit::config::{Head, Position};
use tcvit::low_level::input::Preprocess;
use tcvit::low_level::random::Random;
use tcvit::low_level::weights::Checkpoint;
use tcvit::{Condensation, Model, Outputs, Precision, SessionOptions};

const SEED: u64 = 5;
const BATCH: usize = 2;
const LABELS: [&str; 7] = ["badger", "beaver", "boar", "elk", "heron", "lynx", "marten"];

fn folder(name: &str) -> PathBuf {
    repository("tests/goldens/transformers").join(name)
}

fn floats(file: &[u8], name: &str) -> Option<Vec<f32>> {
    let data = SafeTensors::deserialize(file).unwrap().tensor(name).ok()?.data().to_vec();
    Some(data.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
}

fn pixels(images: usize, side: usize) -> Vec<f32> {
    Random::named("pixels", SEED).tensor(images * 3 * side * side, 0.0, 1.5)
}

/// Compares the model in folder `name` with transformers' forward.
fn check(name: &str) -> Model {
    let model = Model::load_with(gpu(), folder(name), &stored_in(Precision::F32)).unwrap();
    let session = model.session(SessionOptions::new().batch(BATCH)).unwrap();
    let trace = session.run(&pixels(BATCH, 64), Outputs::logits().features()).unwrap();
    let golden = std::fs::read(folder(name).join("golden.safetensors")).unwrap();
    let (got, expected) = match floats(&golden, "logits") {
        Some(logits) => (trace.logits, logits),
        None => {
            let features = first_tokens(&trace.features, trace.tokens, trace.width, 6);
            (features, floats(&golden, "features").unwrap())
        }
    };
    let error = relative(&got, &expected);
    println!("{name}: {error:.1e}");
    assert!(error <= 1e-4, "{name}: outputs differ by {error:e}");
    model
}

#[test]
fn vit() {
    let model = check("vit");
    let config = model.config();
    assert_eq!((config.heads, config.mlp, config.epsilon, config.classes), (4, 192, 1e-12, 7));
    assert_eq!((config.labels.as_slice(), config.head), (LABELS.map(String::from).as_slice(), Head::ClassToken));
    // ViTImageProcessor squashes.
    assert_eq!((config.squash, config.crop, config.interpolation.as_str()), (true, 1.0, "bilinear"));
    assert_eq!((config.mean, config.std), ([0.5; 3], [0.5; 3]));
    assert!(model.preprocess().squash);
}

/// The pixels that transformers' processors, configured by their files, give for a photograph that is not square.
#[test]
fn photographs_become_the_processors_pixels() {
    let photo = tcvit::low_level::input::open_image(&repository("crates/cli/assets/photos/chelsea.jpg")).unwrap();
    for name in ["vit", "deit_teacher", "dinov2_registers"] {
        let model = Model::load_with(gpu(), folder(name), &stored_in(Precision::F32)).unwrap();
        let golden = std::fs::read(folder(name).join("golden.safetensors")).unwrap();
        let expected = floats(&golden, "chelsea").unwrap();
        let in_bytes = |preprocess: &Preprocess| {
            let differences: Vec<f32> =
                preprocess.pixels(&photo).unwrap().iter().zip(&expected).map(|(g, e)| (g - e).abs()).collect();
            assert_eq!(differences.len(), expected.len());
            let most = differences.iter().copied().fold(0.0, f32::max) * 255.0 * preprocess.std[0];
            let mean = differences.iter().sum::<f32>() / differences.len() as f32 * 255.0 * preprocess.std[0];
            (most, mean)
        };
        let (most, mean) = in_bytes(model.preprocess());
        println!("{name}: at most {most:.1} of 255, {mean:.2} on average");
        assert!(most <= 5.0 && mean <= 0.5, "{name}: {most}, {mean}");
        // The comparison detects another aspect ratio, and a crop that is slightly off.
        let other = Preprocess { squash: !model.preprocess().squash, ..model.preprocess().clone() };
        assert!(in_bytes(&other).1 > 2.0);
        let other = Preprocess { crop: model.preprocess().crop * 0.97, ..model.preprocess().clone() };
        assert!(in_bytes(&other).1 > 1.0);
    }
}

/// A checkpoint with the names that transformers 5 uses in memory, with a pooler that is not loaded, and with the
/// configuration of a model with a head.
#[test]
fn vit_without_head() {
    let model = check("vit_features");
    assert_eq!((model.config().classes, model.config().labels.len(), model.config().heads), (0, 0, 4));
}

#[test]
fn deit_without_teacher() {
    let model = check("deit");
    let config = model.config();
    assert_eq!((config.heads, config.epsilon, config.head, config.prefix()), (2, 1e-2, Head::ClassToken, 2));
    assert_eq!((config.mean, config.squash), ([0.485, 0.456, 0.406], false), "no preprocessor_config.json");
}

#[test]
fn deit_with_teacher() {
    let model = check("deit_teacher");
    let config = model.config();
    assert_eq!((config.head, config.prefix(), config.labels.len()), (Head::ClassAndDistillation, 2, 7));
    assert_eq!((config.crop, config.squash, config.interpolation.as_str()), (64.0 / 72.0, true, "bicubic"));
    assert_eq!(config.mean, [0.485, 0.456, 0.406]);
}

#[test]
fn dinov2_with_a_head() {
    let model = check("dinov2");
    let config = model.config();
    assert_eq!((config.head, config.heads, config.epsilon, config.layer_scale), (Head::ClassAndMean, 8, 1e-6, true));
    // Condensed tokens are weighted by their sizes in the mean. If nothing is dropped, nothing changes.
    let session = |condensation| {
        let session = model.session(SessionOptions::new().batch(BATCH).condensation(condensation)).unwrap();
        session.logits(&pixels(BATCH, 64)).unwrap()
    };
    let error = relative(&session(Some(Condensation::training_free().drop_per_block(0))), &session(None));
    assert!(error <= 1e-5, "{error:e}");
    assert!(relative(&session(Some(Condensation::training_free().drop_per_block(4))), &session(None)) > 1e-4);
}

#[test]
fn dinov2_with_registers() {
    let model = check("dinov2_registers");
    let config = model.config();
    assert_eq!((config.registers, config.prefix(), config.position), (4, 5, Position::LearnedForPatches));
    let side = (model.preprocess().side as f64 / model.preprocess().crop).floor();
    assert_eq!((side, config.squash), (73.0, false));
}

/// Shapes and values by name.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A checkpoint's tensors as f32.
fn tensors(name: &str) -> Tensors {
    let bytes = std::fs::read(folder(name).join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let half = |data: &[u8]| data.as_chunks::<2>().0.iter().map(|&b| half::f16::from_le_bytes(b).to_f32()).collect();
    file.tensors().into_iter().map(|(name, view)| (name, (view.shape().to_vec(), half(view.data())))).collect()
}

fn serialize(tensors: &Tensors) -> Vec<u8> {
    let bytes: BTreeMap<&String, Vec<u8>> =
        tensors.iter().map(|(name, (_, v))| (name, v.iter().flat_map(|v| v.to_le_bytes()).collect())).collect();
    let view = |name: &String| TensorView::new(Dtype::F32, tensors[name].0.clone(), &bytes[name]).unwrap();
    safetensors::serialize(tensors.keys().map(|name| (name, view(name))), None).unwrap()
}

fn config_json(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder(name).join("config.json")).unwrap()).unwrap()
}

#[test]
fn timms_names_give_the_same() {
    let mut timm = BTreeMap::new();
    for (name, (shape, values)) in tensors("vit") {
        let name = name.replace("classifier.", "head.").replace("vit.layernorm.", "norm.");
        let name = name.replace("vit.embeddings.patch_embeddings.projection", "patch_embed.proj");
        let name = name.replace("vit.embeddings.cls_token", "cls_token");
        let name = name.replace("vit.embeddings.position_embeddings", "pos_embed");
        let name = name.replace("vit.encoder.layer.", "blocks.").replace("attention.output.dense", "attn.proj");
        let name = name.replace("layernorm_before", "norm1").replace("layernorm_after", "norm2");
        let name = name.replace("intermediate.dense", "mlp.fc1").replace("output.dense", "mlp.fc2");
        timm.insert(name, (shape, values));
    }
    for (block, parameter) in (0..3).flat_map(|block| [(block, "weight"), (block, "bias")]) {
        let parts = ["query", "key", "value"]
            .map(|part| timm.remove(&format!("blocks.{block}.attention.attention.{part}.{parameter}")).unwrap());
        let mut shape = parts[0].0.clone();
        shape[0] *= 3;
        let values = parts.into_iter().flat_map(|(_, values)| values).collect();
        timm.insert(format!("blocks.{block}.attn.qkv.{parameter}"), (shape, values));
    }
    let config = json!({ "architecture": "vit_tiny", "num_classes": 7, "model_args": { "num_heads": 4 } });
    let logits = |checkpoint: Vec<u8>, config: &Value| {
        let checkpoint = Checkpoint::from_bytes(checkpoint, "vit").unwrap();
        let model =
            Model::from_checkpoint_with(gpu(), checkpoint, Some(&config.to_string()), &stored_in(Precision::F32))
                .unwrap();
        model.session(SessionOptions::new().batch(BATCH)).unwrap().logits(&pixels(BATCH, 64)).unwrap()
    };
    let theirs = logits(serialize(&tensors("vit")), &config_json("vit"));
    let error = relative(&logits(serialize(&timm), &config), &theirs);
    println!("timm's names: {error:.1e}");
    assert!(error <= 1e-5, "{error:e}");
    // The comparison detects half the number of heads.
    let wrong = json!({ "num_classes": 7, "model_args": { "num_heads": 2 } });
    assert!(relative(&logits(serialize(&timm), &wrong), &theirs) > 1e-3);
}
