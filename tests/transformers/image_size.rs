//! Image sizes other than the checkpoint's.

use tcvit::config::{Head, Position};
use tcvit::{Condensation, LoadOptions, Model, Outputs, Precision, SessionOptions, VitConfig};

use crate::support::{gpu, relative, repository, stored_in};
use crate::{SEED, floats, folder, pixels};

fn stored() -> VitConfig {
    VitConfig::new(224, 16, 96, 3, 3, 10)
}

fn resized(stored: &VitConfig, side: usize) -> Model {
    Model::random_with(gpu(), stored, SEED, &stored_in(Precision::F32).image(side)).unwrap()
}

fn check(kind: &str, stored: &VitConfig, sides: &[usize]) {
    let golden = std::fs::read(repository("tests/goldens/resized.safetensors")).unwrap();
    for &side in sides {
        let model = resized(stored, side);
        assert_eq!((model.config().image, model.preprocess().side), ([side; 2], side));
        let session = model.session(SessionOptions::new()).unwrap();
        let expected = floats(&golden, &format!("{kind}/{side}/logits")).unwrap();
        let error = relative(&session.logits(&pixels(1, side)).unwrap(), &expected);
        println!("{kind}: 224 to {side} ({} patches): {error:.1e}", model.config().patches());
        assert!(error <= 1e-4, "{kind}, {side}: logits differ by {error:e}");
    }
}

#[test]
fn other_image_sizes_are_timms() {
    check("class", &stored(), &[160, 224, 256, 288, 720, 736]);
    // A model with 45 * 45 patches can be condensed, one with 46 * 46 cannot.
    let condensed = |side| {
        let options = SessionOptions::new().condense(Condensation::training_free().drop_per_block(100));
        resized(&stored(), side).session(options)
    };
    condensed(720).unwrap();
    assert!(condensed(736).err().unwrap().to_string().contains("2048"));
}

/// Position embeddings without rows for the prefix, and with two.
#[test]
fn rows_of_the_prefix_stay() {
    let mut registers = stored();
    (registers.registers, registers.position) = (4, Position::LearnedForPatches);
    check("registers", &registers, &[160]);
    let mut distilled = stored();
    distilled.head = Head::ClassAndDistillation;
    check("distilled", &distilled, &[256]);
}

/// A differently resized position embedding gives clearly different results, so the comparison above would detect it.
#[test]
fn positions_matter() {
    let resized = resized(&stored(), 160).session(SessionOptions::new()).unwrap().logits(&pixels(1, 160)).unwrap();
    let config = VitConfig::new(160, 16, 96, 3, 3, 10);
    let others = Model::random_with(gpu(), &config, SEED, &stored_in(Precision::F32)).unwrap();
    let others = others.session(SessionOptions::new()).unwrap().logits(&pixels(1, 160)).unwrap();
    assert!(relative(&resized, &others) > 1e-2);
}

#[test]
fn image_sizes_that_do_not_fit_are_refused() {
    for (side, texts) in [
        (220, &["image side", "patch side 16", "208 or 224", "got 220"][..]),
        (7, &["such as 16", "got 7"]),
        (0, &["such as 16", "got 0"]),
        (1 << 20, &["image", "1048576"]),
        (usize::MAX, &["image"]),
    ] {
        let error = LoadOptions::new().image(side).apply(&stored()).unwrap_err().to_string();
        texts.iter().for_each(|text| assert!(error.contains(text), "{text:?} is not in: {error}"));
    }
}

/// Models loaded from files: the sizes are right, and requesting the checkpoint's own size changes nothing.
#[test]
fn a_checkpoint_is_resized_too() {
    let load =
        |name: &str, side| Model::load_with(gpu(), folder(name), &stored_in(Precision::F32).image(side)).unwrap();
    for name in ["dinov2_registers", "deit_teacher"] {
        let model = load(name, 96);
        assert_eq!(model.config().patches(), 144);
        let session = model.session(SessionOptions::new()).unwrap();
        session.run(&pixels(1, 96), Outputs::logits().features()).unwrap();
        assert_eq!(
            load(name, 64).config(),
            Model::load_with(gpu(), folder(name), &stored_in(Precision::F32)).unwrap().config()
        );
    }
}
