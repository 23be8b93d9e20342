//! Which kernels are used where: found by a search, remembered, and never one that was wrong on the device.

use tcvit::gpu::{ContextOptions, SHADERS, Types};
use tcvit::kernels::linear::{Params, Variant};
use tcvit::{Condensation, Context, LoadOptions, Model, Precision, SessionOptions, tune};

use crate::support::small::{config, pixels};

fn open(options: ContextOptions) -> Context {
    pollster::block_on(Context::with_options(options)).unwrap()
}

fn logits(context: &Context) -> Vec<f32> {
    let model = Model::random_with(context, &config(), 3, &LoadOptions::new().precision(Precision::F32)).unwrap();
    let options = SessionOptions::new().batch(2).condense(Condensation::training_free().drop(2));
    model.session(options).unwrap().logits(&pixels(&config(), 2, 1)).unwrap()
}

#[test]
fn a_search_is_made_once_and_changes_no_result() {
    let plain = Context::blocking().unwrap();
    let mut options = ContextOptions::default();
    options.tune = true;
    let tuned = open(options);
    let (expected, got) = (logits(&plain), logits(&tuned));
    let most = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    assert!(expected.iter().zip(&got).all(|(a, b)| (a - b).abs() <= 1e-5 * most), "{expected:?} {got:?}");
    let found = tuned.choices().all();
    let shapes = found.keys().filter(|name| !name.contains("twin")).count();
    assert!(shapes >= 4, "{found:?}");
    let names: Vec<String> = Variant::all(&tuned, Types::default()).iter().map(|variant| variant.name()).collect();
    let chosen = found.iter().filter(|(name, _)| !name.contains("twin"));
    assert!(chosen.clone().all(|(_, variant)| names.contains(variant)), "{found:?}");
    assert_eq!(logits(&tuned), got);
    assert_eq!(tuned.choices().all(), found, "the second session searched again");
    let untuned = plain.choices().all();
    assert!(untuned.keys().all(|name| name.contains("twin")), "{untuned:?}");
}

#[test]
fn what_was_chosen_is_used() {
    let context = Context::blocking().unwrap();
    let params = Params::new(24, 64, 64);
    for variant in Variant::all(&context, Types::default()) {
        context.choices().set("linear 24 64 64 f32 f32", variant.name());
        assert_eq!(tune::variant(&context, Types::default(), &params), variant);
    }
    let default = tune::default_variant(&context, Types::default(), &params);
    for nonsense in ["", "subgroup 25", "cooperative"] {
        context.choices().set("linear 24 64 64 f32 f32", nonsense);
        assert_eq!(tune::variant(&context, Types::default(), &params), default);
    }
}

#[test]
fn a_kernel_that_is_wrong_here_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in SHADERS {
        let file = folder.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        // A slip in every way to make a product but the plain one.
        let text = match *path {
            "block/attention_subgroup.wgsl" => text.replace("    shrink(sums, softmax, 5u);\n", ""),
            "block/query_key_subgroup.wgsl" => text.replace("key + i >= query", "key + i > query"),
            _ if path.starts_with("block/linear_") => text.replace("a.w * w3", "a.z * w3"),
            _ => (*text).into(),
        };
        std::fs::write(file, text).unwrap();
    }
    let expected = logits(&Context::blocking().unwrap());
    let most = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    for tune in [false, true] {
        let mut options = ContextOptions::default();
        (options.shaders, options.tune) = (Some(folder.path().to_owned()), tune);
        let context = open(options);
        assert!(expected.iter().zip(logits(&context)).all(|(a, b)| (a - b).abs() <= 1e-5 * most));
        let found = context.choices().all();
        let proven = || found.iter().filter(|(name, _)| name.contains("twin"));
        let wrong =
            |name: &str| name.starts_with("linear") && !name.contains("cooperative") || name.contains("_key_sub");
        assert!(proven().filter(|(name, _)| wrong(name)).all(|(_, answer)| answer == "no"), "{found:?}");
        assert!(!tune || proven().filter(|(name, _)| wrong(name)).count() >= 2, "{found:?}");
        assert_ne!(found.get("attention_subgroup matches its twin").map(String::as_str), Some("yes"), "{found:?}");
    }
}
