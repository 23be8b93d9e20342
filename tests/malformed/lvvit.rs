//! LV-ViT's own tensors: which are required, which are optional, and that each has an effect.

use safetensors::Dtype;
use serde_json::json;
use tcvit::config::Stem;
use tcvit::low_level::random::Random;
use tcvit::{Model, SessionOptions, VitConfig};

use crate::support::checkpoint::{IMAGE, Tensor, Tiny, WIDTH};
use crate::support::relative;
use crate::support::small::refused;

fn logits(model: &Model) -> Vec<f32> {
    let pixels = Random::named("pixels", 1).tensor(2 * 3 * IMAGE * IMAGE, 0.0, 1.5);
    model.session(SessionOptions::new().batch(2)).unwrap().logits(&pixels).unwrap()
}

fn counts(name: &str) -> bool {
    name.ends_with("num_batches_tracked")
}

#[test]
fn counters_of_batches_may_be_there_or_not() {
    let expected = logits(&Tiny::lvvit().load(None).unwrap());
    let mut without = Tiny::lvvit();
    without.0.retain(|name, _| !counts(name));
    assert_eq!(logits(&without.load(None).unwrap()), expected);
    let elsewhere = Tiny::lvvit().with("blocks.0.num_batches_tracked", &[]);
    refused(elsewhere.load(None), "Weights", &["left over: blocks.0.num_batches_tracked"]);
}

#[test]
fn a_missing_tensor_is_named() {
    for name in Tiny::lvvit().0.into_keys().filter(|name| !counts(name)) {
        let text = match name.as_str() {
            "head.weight" | "aux_head.weight" => "left over",
            name => name,
        };
        refused(Tiny::lvvit().without(&name).load(None), "Weights", &[text]);
    }
}

#[test]
fn a_wrong_shape_is_named() {
    for name in Tiny::lvvit().0.into_keys().filter(|name| name.starts_with("patch_embed.") && !counts(name)) {
        let mut shape = Tiny::lvvit().0[&name].shape.clone();
        *shape.last_mut().unwrap() += 4;
        // The first side of this tensor decides the patch's side.
        let text = if name == "patch_embed.proj.weight" { "[16, 4, 2, 6]" } else { &name };
        refused(Tiny::lvvit().with(&name, &shape).load(None), "Weights", &[text]);
        refused(Tiny::lvvit().with(&name, &[]).load(None), "Weights", &[&name]);
    }
    refused(Tiny::lvvit().with("aux_head.weight", &[4, WIDTH]).load(None), "Weights", &["aux_head.weight"]);
    let channels = Tiny::lvvit().with("patch_embed.proj.weight", &[WIDTH, 3, 2, 2]);
    refused(channels.load(None), "Config", &["stem channels", "multiple of 4", "3"]);
}

#[test]
fn a_negative_variance_is_named() {
    let tiny = Tiny::lvvit().with_value("patch_embed.bn2.running_var", 3, -0.5);
    refused(tiny.load(None), "Weights", &["patch_embed.bn2.running_var", "-0.5 at element 3"]);
    let tiny = Tiny::lvvit().with_value("patch_embed.bn3.running_mean", 1, f32::NAN);
    refused(tiny.load(None), "Weights", &["patch_embed.bn3.running_mean", "NaN"]);
}

#[test]
fn every_tensor_and_the_residual_scale_matter() {
    let expected = logits(&Tiny::lvvit().load(None).unwrap());
    for name in Tiny::lvvit().0.into_keys().filter(|name| !counts(name)) {
        let mut tiny = Tiny::lvvit();
        let tensor = tiny.0.get_mut(&name).unwrap();
        let values = tensor.values();
        let noise = Random::named(&name, 77).tensor(values.len(), 0.0, 0.2);
        let values: Vec<f32> = values.iter().zip(noise).map(|(value, noise)| value + noise).collect();
        *tensor = Tensor::floats(&tensor.shape, &values);
        let error = relative(&logits(&tiny.load(None).unwrap()), &expected);
        assert!(error > 1e-5, "{name} does not matter: {error:e}");
    }
    let scaled = |skip_lam: f32| {
        let config = json!({ "model_args": { "skip_lam": skip_lam } }).to_string();
        relative(&logits(&Tiny::lvvit().load(Some(&config)).unwrap()), &expected)
    };
    assert!(scaled(2.0) == 0.0 && scaled(1.0) > 1e-3, "{:e}", scaled(1.0));
}

#[test]
fn half_precision_gives_nearly_the_same() {
    let expected = logits(&Tiny::lvvit().load(None).unwrap());
    let halved = Tiny::lvvit().halved(Dtype::F16, |name| !counts(name));
    let error = relative(&logits(&halved.load(None).unwrap()), &expected);
    assert!(error <= 5e-3 && error > 0.0, "logits differ by {error:e}");
}

#[test]
fn configurations_that_do_not_hold_together_are_refused() {
    let changed = |change: fn(&mut VitConfig)| {
        let mut config = VitConfig::preset("lvvit_s").unwrap();
        change(&mut config);
        config.validate()
    };
    changed(|_| ()).unwrap();
    fn channels(config: &mut VitConfig, channels: usize) {
        config.stem = Stem::Convolutional { channels };
    }
    for (result, text) in [
        (changed(|c| (c.image, c.patch) = ([225; 2], 15)), "patch: expected an even number"),
        (changed(|c| (c.image, c.patch) = ([16384; 2], 64)), "at most 8192 pixels"),
        (changed(|c| (c.image, c.patch) = ([4096; 2], 256)), "numbers of a patch"),
        (changed(|c| channels(c, 0)), "stem channels"),
        (changed(|c| channels(c, 66)), "stem channels"),
        (changed(|c| channels(c, usize::MAX - 3)), "stem channels"),
        (changed(|c| c.residual_divisor = 0.0), "residual divisor"),
        (changed(|c| c.residual_divisor = -2.0), "residual divisor"),
        (changed(|c| c.residual_divisor = f32::NAN), "residual divisor"),
        (changed(|c| c.residual_divisor = f32::INFINITY), "residual divisor"),
    ] {
        refused(result, "Config", &[text]);
    }
}
