//! Models small enough for a software adapter, and assertions about results and refusals.

use std::sync::OnceLock;

use tcvit::low_level::random::Random;
use tcvit::{Condensation, Error, Model, Outputs, Precision, Result, Session, SessionOptions, Trace, VitConfig};

use super::{gpu, relative, repository, stored_in};

/// Everything a session can read back.
pub const EVERYTHING: Outputs = Outputs::logits().features().pooled().trace();

/// 32 pixels in patches of 8: 16 patch tokens, 3 blocks, 10 classes.
pub fn config() -> VitConfig {
    VitConfig::new(32, 8, 64, 3, 2, 10)
}

/// [`config`] with random weights in f32, loaded once.
pub fn small() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| Model::random_with(gpu(), &config(), 3, &stored_in(Precision::F32)).unwrap())
}

/// The model that is part of the repository, in f32, loaded once.
pub fn bundled() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| {
        let path = repository("assets/models/vit_cifar10_32");
        Model::load_with(gpu(), path, &stored_in(Precision::F32)).unwrap()
    })
}

/// Normalised pixels of random images.
pub fn pixels(config: &VitConfig, images: usize, seed: u64) -> Vec<f32> {
    Random::named("pixels", seed).tensor(images * config.pixels(), 0.0, 1.5)
}

/// Pixels of the repository's photographs, preprocessed for the bundled model.
pub fn photographs(names: &[&str]) -> Vec<f32> {
    let open =
        |name: &&str| image::open(repository(&format!("crates/cli/assets/photos/{name}.jpg"))).unwrap().into_rgb8();
    let photos: Vec<_> = names.iter().map(open).collect();
    bundled().preprocess().pixels_batch(&photos).unwrap()
}

pub fn open(model: &Model, batch: usize, condensation: Option<&Condensation>) -> Session {
    model.session(SessionOptions::new().batch(batch).condensation(condensation.cloned())).unwrap()
}

/// The presets, by name, and some variations of them, one of which prunes.
pub fn condensations() -> Vec<(&'static str, Condensation)> {
    let preset = |name: &'static str| (name, Condensation::preset(name).unwrap());
    let changed = |name: &'static str, json| (name, Condensation::from_json(json).unwrap());
    let mut all: Vec<_> = tcvit::condensation::PRESETS.iter().map(|name| preset(name)).collect();
    all.extend([
        changed("paper, pruning", r#"{"weights": "none"}"#),
        changed("cosine", r#"{"metric": "cosine", "order": 3}"#),
        changed("dot", r#"{"metric": "dot", "mean": "row"}"#),
        changed("euclidean", r#"{"metric": "euclidean", "score": "connectivity"}"#),
        changed("uniqueness of tokens", r#"{"preset": "training_free", "metric": "cosine"}"#),
    ]);
    all
}

/// The part of a trace for images `from..to`.
pub fn slice(trace: &Trace, from: usize, to: usize) -> Trace {
    let part = |values: &[f32]| {
        let each = values.len() / trace.images;
        values[from * each..to * each].to_vec()
    };
    let indices = |values: &[u32]| {
        let each = values.len() / trace.images;
        values[from * each..to * each].to_vec()
    };
    let mut slice = trace.clone();
    slice.images = to - from;
    slice.logits = part(&trace.logits);
    slice.features = part(&trace.features);
    for (block, whole) in slice.blocks.iter_mut().zip(&trace.blocks) {
        block.score = part(&whole.score);
        block.kept = indices(&whole.kept);
        block.assigned = indices(&whole.assigned);
    }
    slice
}

/// Asserts that outputs and scores are equal within rounding, and that the same tokens are kept and assigned.
pub fn assert_same_decisions(label: &str, got: &Trace, expected: &Trace) {
    let near = |what: &str, got: &[f32], expected: &[f32], tolerance: f64| {
        let error = relative(got, expected);
        assert!(error <= tolerance, "{label}: {what} differ by {error:e}");
    };
    near("logits", &got.logits, &expected.logits, 1e-4);
    near("features", &got.features, &expected.features, 1e-4);
    assert_eq!(got.blocks.len(), expected.blocks.len(), "{label}: blocks");
    for (got, expected) in got.blocks.iter().zip(&expected.blocks) {
        // A diverging Newton iteration amplifies differences in its input.
        let tolerance = if label.contains("literal") { 2e-3 } else { 1e-4 };
        near(&format!("scores of block {}", expected.block), &got.score, &expected.score, tolerance);
        assert_eq!(got.kept, expected.kept, "{label}: kept of block {}", expected.block);
        assert_eq!(got.assigned, expected.assigned, "{label}: assigned of block {}", expected.block);
    }
}

/// Asserts that all bits are equal. `==` on floats would take -0 for 0, and NaN as different from itself.
pub fn assert_same_bits(label: &str, got: &Trace, expected: &Trace) {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert!(!expected.logits.is_empty() || !expected.features.is_empty(), "{label}: nothing to compare");
    assert_eq!(bits(&got.logits), bits(&expected.logits), "{label}: logits");
    assert!(bits(&got.features) == bits(&expected.features), "{label}: features");
    assert_eq!(got.blocks.len(), expected.blocks.len(), "{label}: blocks");
    for (got, expected) in got.blocks.iter().zip(&expected.blocks) {
        let label = format!("{label}: block {}", expected.block);
        assert_eq!(bits(&got.score), bits(&expected.score), "{label} score");
        assert_eq!(got, expected, "{label}");
    }
}

/// Asserts that `result` is the error `variant` with no part empty, and that its text contains all of `texts`. Returns
/// the text.
#[track_caller]
pub fn refused<T>(result: Result<T>, variant: &str, texts: &[&str]) -> String {
    let Err(error) = result else { panic!("accepted, but {variant} with {texts:?} was expected") };
    let text = error.to_string();
    let kind = format!("{error:?}");
    assert_eq!(kind.split(' ').next().unwrap(), variant, "{text}");
    for part in texts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    let (Error::Config { op, expected, got, .. }
    | Error::Shape { op, expected, got, .. }
    | Error::Weights { op, expected, got, .. }
    | Error::Image { op, expected, got, .. }
    | Error::File { op, expected, got, .. }
    | Error::Limit { op, expected, got, .. }
    | Error::NoAdapter { op, expected, got, .. }
    | Error::Shader { op, expected, got, .. }
    | Error::Device { op, expected, got, .. }
    | Error::NotFinite { op, expected, got, .. }) = &error
    else {
        panic!("a variant that this test does not know: {text}")
    };
    assert!(![op, expected, got].into_iter().any(|part| part.trim().is_empty()), "a part is empty: {text}");
    println!("{variant:9} {text}");
    text
}
