//! Which ways are used: those found by a search are remembered, and a way that was wrong on the device is never used.

use std::collections::BTreeMap;

use tcvit::Attention;
use tcvit::low_level::gpu::{ContextOptions, Internals, Keep, Operation, SHADERS, Types};
use tcvit::low_level::kernels::linear::{Call, Epilogue, Params};
use tcvit::low_level::ways;
use tcvit::{Condensation, Context, LoadOptions, Model, Precision, SessionOptions};

use crate::support::small::{config, pixels};

/// A context without the choices of earlier runs or other tests.
fn open(options: ContextOptions) -> Context {
    Context::open(options.keep(Keep::Nothing)).unwrap()
}

fn logits(context: &Context) -> Vec<f32> {
    let model = Model::random_with(context, &config(), 3, &LoadOptions::new().precision(Precision::F32)).unwrap();
    let options = SessionOptions::new().batch(2).condense(Condensation::training_free().drop_per_block(2));
    model.session(options).unwrap().logits(&pixels(&config(), 2, 1)).unwrap()
}

#[test]
fn a_search_is_made_once_and_changes_no_result() {
    let plain = open(ContextOptions::new());
    let tuned = open(ContextOptions::new().tune(true));
    let (expected, got) = (logits(&plain), logits(&tuned));
    let most = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    assert!(expected.iter().zip(&got).all(|(a, b)| (a - b).abs() <= 1e-5 * most), "{expected:?} {got:?}");
    let found = tuned.choices().all();
    let chosen = |start: &'static str| {
        found.iter().filter(move |(name, _)| name.starts_with(start)).map(|(_, found)| found.as_str())
    };
    // A search needs two ways that are worth trying. When loads are dear, weights lie in a home that only one way
    // reads.
    if !tuned.traits().loads_are_dear {
        assert!(chosen("fastest linear").count() >= 4, "{found:?}");
    }
    let names: Vec<&str> = Call::ways().iter().map(|way| way.name).collect();
    assert!(chosen("fastest linear").all(|way| names.contains(&way)), "{found:?}");
    assert_eq!(chosen("attention").count(), 1, "{found:?}");
    assert!(chosen("attention").all(|name| name.parse::<Attention>().is_ok()), "{found:?}");
    assert_eq!(logits(&tuned), got);
    assert_eq!(tuned.choices().all(), found, "the second session searched again");
    let untuned = plain.choices().all();
    assert!(untuned.keys().all(|name| name.starts_with("verification")), "{untuned:?}");
}

#[test]
fn what_a_gpu_would_run_changes_no_result_and_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let open_in = |as_gpu| {
        let keep = Keep::In(folder.path().to_owned());
        Context::open(ContextOptions::new().as_gpu(as_gpu).keep(keep)).unwrap()
    };
    let (plain, as_gpu) = (open_in(false), open_in(true));
    assert!(!as_gpu.traits().loads_are_dear);
    let got = logits(&as_gpu);
    assert!(!as_gpu.choices().all().is_empty());
    assert!(open_in(false).choices().all().is_empty(), "the choices for a GPU were kept");
    let expected = logits(&plain);
    assert!(!open_in(false).choices().all().is_empty(), "nothing is ever kept");
    assert!(open_in(true).choices().all().is_empty(), "the choices for a CPU were used for a GPU");
    let most = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    assert!(expected.iter().zip(&got).all(|(a, b)| (a - b).abs() <= 1e-5 * most), "{expected:?} {got:?}");
}

#[test]
fn what_was_chosen_is_used() {
    let context = open(ContextOptions::new());
    let call = Call { params: Params::new(24, 64, 64), types: Types::default(), epilogue: Epilogue::Store };
    let measured = ways::Verified::measured(&call).unwrap();
    let name = format!("fastest linear {measured:?}");
    let default = ways::choose(&context, &call).unwrap();
    let ranked = ways::ranked(&context, &call);
    assert!(ranked.len() >= 2 && ranked[0].1 == default, "{ranked:?}");
    for (_, way) in ranked {
        context.choices().set(name.clone(), way.name);
        assert_eq!(ways::choose(&context, &call).unwrap(), way);
    }
    for nonsense in ["", "tiled 25", "cooperative"] {
        context.choices().set(name.clone(), nonsense);
        assert_eq!(ways::choose(&context, &call).unwrap(), default);
    }
}

/// For each pipeline of `kernel` that was compared, its key and whether its results were right.
fn verdicts<'a>(found: &'a BTreeMap<String, String>, kernel: &str) -> Vec<(&'a str, bool)> {
    let start = format!("verification of {kernel} ");
    found
        .iter()
        .filter(|(name, _)| name.starts_with(&start))
        .map(|(name, found)| (&name[..], found == "right"))
        .collect()
}

/// A context whose shaders are changed by `spoil`.
fn with_shaders(folder: &std::path::Path, tune: bool, spoil: impl Fn(&str, &str) -> String) -> Context {
    for (path, text) in SHADERS {
        let file = folder.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, spoil(path, text)).unwrap();
    }
    open(ContextOptions::new().shaders(folder).tune(tune))
}

fn assert_close(got: &[f32], expected: &[f32]) {
    let most = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    assert!(expected.iter().zip(got).all(|(a, b)| (a - b).abs() <= 1e-5 * most), "{expected:?} {got:?}");
}

#[test]
fn a_kernel_that_is_wrong_here_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let expected = logits(&Context::open(ContextOptions::new()).unwrap());
    for tune in [false, true] {
        // A mistake in every way of a product but the plain one.
        let context = with_shaders(folder.path(), tune, |path, text| match path {
            "cpu/attention_subgroup.wgsl" => text.replace("    shrink(sums, softmax, 5u);\n", ""),
            "block/query_key_subgroup.wgsl" => text.replace("key + i >= query", "key + i > query"),
            "block/linear_tiled.wgsl" | "cpu/linear_subgroup.wgsl" => text.replace("a.w * w3", "a.z * w3"),
            _ => text.into(),
        });
        assert_close(&logits(&context), &expected);
        let found = context.choices().all();
        for kernel in ["linear_tiled", "linear_subgroup", "attention_subgroup", "query_key_subgroup"] {
            let verdicts = verdicts(&found, kernel);
            assert!(verdicts.iter().all(|(_, right)| !right), "{found:?}");
            // These ways are for CPUs, where the size of a subgroup is known.
            let is_tried = context.traits().loads_are_dear && context.traits().has_octets() && kernel != "linear_tiled";
            assert!(!verdicts.is_empty() || !is_tried || cfg!(not(feature = "software")), "{kernel}: {found:?}");
        }
    }
}

#[test]
fn a_form_that_is_wrong_here_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (right, wrong) = ("array(bias_of(column), ", "array(select(bias_of(column), vec4(9.0), ACTIVATION == 1u), ");
    let context = with_shaders(folder.path(), false, |_, text| text.replace(right, wrong));
    let model = Model::random_with(&context, &config(), 3, &LoadOptions::new().precision(Precision::F32)).unwrap();
    let session =
        model.session(SessionOptions::new().batch(2).condense(Condensation::training_free().drop_per_block(2)));
    match session {
        // Weights in buffers: another kernel computes the products.
        Ok(session) => {
            let expected = logits(&Context::open(ContextOptions::new()).unwrap());
            assert_close(&session.logits(&pixels(&config(), 2, 1)).unwrap(), &expected);
        }
        // Weights in textures: no other kernel reads them.
        Err(error) => assert!(error.to_string().contains("that gives the reference's results"), "{error}"),
    }
    let found = context.choices().all();
    let compared = verdicts(&found, "linear_subgroup");
    assert!(compared.iter().all(|(key, right)| *right != key.contains("ACTIVATION=1")), "{found:?}");
    let is_tried = cfg!(feature = "software") && context.traits().loads_are_dear && context.traits().has_octets();
    assert!(!is_tried || compared.iter().any(|(_, right)| !right), "{found:?}");
}

#[test]
fn attention_that_was_found_to_be_fastest_is_used_if_it_is_right() {
    let context = open(ContextOptions::new().tune(true));
    let model = Model::random_with(&context, &config(), 3, &LoadOptions::new().precision(Precision::F32)).unwrap();
    let attention = |batch: usize, condensation: Option<Condensation>| {
        let options = SessionOptions::new().batch(batch);
        let options = match condensation {
            Some(condensation) => options.condense(condensation),
            None => options,
        };
        model.session(options).unwrap().plan().attention
    };
    let searched = attention(3, Some(Condensation::paper().drop_per_block(2)));
    let of_attention = |found: &BTreeMap<String, String>| -> Vec<(String, String)> {
        let of_attention = found.iter().filter(|(name, _)| name.starts_with("attention"));
        of_attention.map(|(name, found)| (name.clone(), found.clone())).collect()
    };
    let found = of_attention(&context.choices().all());
    let [(name, best)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((name.contains("Connectivity"), best.parse::<Attention>().unwrap()), (true, searched));
    // The remembered route is used, for batches of a similar size, with and without time to search.
    for route in Attention::ALL {
        context.choices().set(name.clone(), route.name());
        let got = attention(2, Some(Condensation::paper().drop_per_block(2)));
        let opened = model.session(SessionOptions::new().attention(route));
        // When loads are dear, the plain fused kernel is not chosen, though it runs.
        let is_worth_it = opened.is_ok() && (route != Attention::Fused || got == route);
        assert!(got == route || !is_worth_it, "{route}: {got}");
    }
    context.choices().set(name.clone(), "nonsense");
    assert!(Attention::ALL.contains(&attention(2, Some(Condensation::paper().drop_per_block(2)))));
    // A search is made for each set of results that condensing reads from attention, and for each number of images.
    attention(2, Some(Condensation::training_free().drop_per_block(2)));
    attention(2, None);
    attention(8, None);
    assert_eq!(of_attention(&context.choices().all()).len(), 4);
}
