//! Pixels and options that must be refused, and extreme ones that must work.

use image::RgbImage;
use tcvit::condensation::{Condensation, Method, Score};
use tcvit::{ContextOptions, Model, Outputs, SessionOptions, VitConfig};

use crate::support::gpu;
use crate::support::small::{condensations, config, open, pixels, refused, small};

#[test]
fn pixels_that_are_not_whole_images_are_refused() {
    let session = open(small(), 2, None);
    let images = pixels(&config(), 2, 1);
    for count in [0, 1, 3071, 3073, 6143, 3072 + 1024] {
        let texts = ["forward", "[B, 3, 32, 32]", "3072", &format!("{count} numbers")];
        refused(session.logits(&images[..count]), "Shape", &texts);
        refused(session.features(&images[..count]), "Shape", &texts);
    }
    assert_eq!(session.logits(&images).unwrap().len(), 20);
}

#[test]
fn pixels_that_are_no_numbers_are_refused() {
    let session = open(small(), 2, Some(&Condensation::training_free()));
    for (value, text) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        for at in [0, 3072, 9215] {
            let mut images = pixels(&config(), 3, 2);
            images[at] = value;
            let texts = ["finite input pixels", &format!("{text} at {at}")];
            refused(session.run(&images, Outputs::logits()), "NotFinite", &texts);
        }
    }
    // Huge but finite pixels: the layer norm brings them back, or the result is refused. It is never NaN.
    match session.logits(&vec![1e30; 3072]) {
        Ok(logits) => assert!(logits.iter().all(|logit| logit.is_finite())),
        Err(error) => assert!(matches!(error, tcvit::Error::NotFinite { .. }), "{error}"),
    }
    session.logits(&pixels(&config(), 2, 3)).unwrap();
}

/// When all tokens are equal, scores are equal and sums of connectivity cancel. There must be an answer nevertheless.
#[test]
fn constant_images_are_answered() {
    for (name, condensation) in condensations() {
        let session = open(small(), 1, Some(&condensation.drop_per_block(3)));
        for value in [0.0, -0.0, 1.0, f32::MIN_POSITIVE / 4.0, 1e6] {
            let logits = session.logits(&vec![value; 3072]).unwrap_or_else(|error| panic!("{name}, {value}: {error}"));
            assert!(logits.iter().all(|logit| logit.is_finite()), "{name}, {value}");
        }
    }
}

#[test]
fn an_image_without_pixels_is_refused() {
    let session = open(small(), 1, None);
    refused(session.classify(&[RgbImage::new(0, 0)]), "Image", &["0 x 0"]);
    assert!(session.classify([] as [&str; 0]).unwrap().is_empty());
    assert_eq!(session.classify(&[RgbImage::new(1, 1)]).unwrap().len(), 1);
}

#[test]
fn condensation_options_are_checked_when_a_session_opens() {
    type Change = fn(&mut Condensation);
    let changes: [(Change, &[&str]); 15] = [
        (|c| c.order = 0, &["order", "K from 1 to 1024", "got 0"]),
        (|c| c.order = 1025, &["order", "1025"]),
        (|c| c.order = u32::MAX, &["order", "4294967295"]),
        (|c| c.alpha = f32::NAN, &["alpha", "NaN"]),
        (|c| c.alpha = 0.0, &["alpha", "above 0", "got 0"]),
        (|c| c.alpha = -500.0, &["alpha", "-500"]),
        (|c| c.alpha = f32::INFINITY, &["alpha", "inf"]),
        (|c| c.alpha = 2e6, &["alpha", "2000000"]),
        (|c| c.beta = f32::NAN, &["beta", "finite", "NaN"]),
        (|c| c.beta = f32::NEG_INFINITY, &["beta", "-inf"]),
        (|c| c.method = Method::Newton(4), &["method", "0 to 3 Newton steps", "4"]),
        (|c| c.score = Score::Uniqueness { exponent: -0.5, size_exponent: 0.0 }, &["exponent", "-0.5"]),
        (|c| c.score = Score::Uniqueness { exponent: f32::NAN, size_exponent: 0.0 }, &["exponent", "NaN"]),
        (|c| c.score = Score::Uniqueness { exponent: 0.0, size_exponent: 17.0 }, &["size_exponent", "17"]),
        (|c| (c.order, c.normalise) = (32, false), &["normalise", "1e30", "alpha 500, K 32"]),
    ];
    for (change, texts) in changes {
        let mut condensation = Condensation::paper();
        change(&mut condensation);
        let result = small().session(SessionOptions::new().condense(condensation));
        refused(result, "Config", &[&["condensation option"], texts].concat());
    }
}

#[test]
fn extreme_options_that_are_allowed_give_numbers() {
    let images = pixels(&config(), 1, 4);
    let changes: [fn(&mut Condensation); 8] = [
        |c| c.order = 1024,
        |c| c.alpha = 1e6,
        |c| c.alpha = f32::MIN_POSITIVE,
        |c| (c.order, c.alpha) = (1024, 1e6),
        |c| (c.method, c.order) = (Method::Newton(3), 1024),
        |c| c.beta = f32::MAX,
        |c| c.beta = -3.5,
        |c| c.score = Score::Uniqueness { exponent: 16.0, size_exponent: 16.0 },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        for path in [tcvit::condensation::Path::Thin, tcvit::condensation::Path::Dense] {
            let mut condensation = Condensation::paper();
            change(&mut condensation);
            condensation.path = path;
            let logits = open(small(), 1, Some(&condensation)).logits(&images);
            assert!(logits.is_ok(), "change {index}, {path:?}: {logits:?}");
        }
    }
}

#[test]
fn batches_that_make_no_sense_are_refused() {
    for batch in [0, (1 << 20) + 1, usize::MAX] {
        let texts = ["batch", "1 to 1048576", &batch.to_string()];
        refused(small().session(SessionOptions::new().batch(batch)), "Config", &texts);
    }
}

#[test]
fn models_that_make_no_sense_are_refused() {
    type Change = fn(&mut VitConfig);
    let changes: [(Change, &str); 12] = [
        (|c| c.image = [0; 2], "image"),
        (|c| c.image = [33; 2], "image"),
        (|c| c.patch = 0, "patch"),
        (|c| c.patch = 64, "image"),
        (|c| c.width = 66, "head width"),
        (|c| c.width = usize::MAX, "width"),
        (|c| c.heads = 0, "heads"),
        (|c| c.heads = 5, "heads"),
        (|c| c.depth = 0, "depth"),
        (|c| c.mlp = 7, "mlp"),
        (|c| c.registers = usize::MAX, "registers"),
        (|c| c.epsilon = 0.0, "epsilon"),
    ];
    for (change, field) in changes {
        let mut config = config();
        change(&mut config);
        refused(Model::random(gpu(), &config, 1), "Config", &["model configuration", field]);
    }
    let huge = VitConfig::new(usize::MAX, usize::MAX, usize::MAX, usize::MAX, usize::MAX, usize::MAX);
    refused(Model::random(gpu(), &huge, 1), "Config", &["model configuration"]);
    refused(VitConfig::preset("deit_gigantic"), "Config", &["model preset", "deit_tiny", "deit_gigantic"]);
}

#[test]
fn an_adapter_or_shader_folder_that_is_not_there_is_named() {
    let open = |options| tcvit::Context::open(options);
    refused(open(ContextOptions::new().adapter("nonsense")), "NoAdapter", &["nonsense", "0: "]);
    refused(open(ContextOptions::new().adapter("99")), "NoAdapter", &["99", "0: "]);
    refused(open(ContextOptions::new().shaders("/nowhere")), "File", &["/nowhere"]);
    refused(open(ContextOptions::new().avoid(["no_such_kernel"])), "Config", &["avoid", "no_such_kernel"]);
}
