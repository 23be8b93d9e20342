//! Which kernels are used where: found by a search, remembered, and never one that was wrong on the device.

use tcvit::gpu::{ContextOptions, Keep, SHADERS, Types};
use tcvit::kernels::linear::{Epilogue, Params, Variant};
use tcvit::plan::Attention;
use tcvit::{Condensation, Context, LoadOptions, Model, Precision, SessionOptions, tune};

use crate::support::small::{config, pixels};

/// Remembers nothing that earlier runs or other tests found.
fn open(mut options: ContextOptions) -> Context {
    options.keep = Keep::Nothing;
    pollster::block_on(Context::with_options(options)).unwrap()
}

fn logits(context: &Context) -> Vec<f32> {
    let model = Model::random_with(context, &config(), 3, &LoadOptions::new().precision(Precision::F32)).unwrap();
    let options = SessionOptions::new().batch(2).condense(Condensation::training_free().drop(2));
    model.session(options).unwrap().logits(&pixels(&config(), 2, 1)).unwrap()
}

#[test]
fn a_search_is_made_once_and_changes_no_result() {
    let plain = open(ContextOptions::default());
    let mut options = ContextOptions::default();
    options.tune = true;
    let tuned = open(options);
    let (expected, got) = (logits(&plain), logits(&tuned));
    let most = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    assert!(expected.iter().zip(&got).all(|(a, b)| (a - b).abs() <= 1e-5 * most), "{expected:?} {got:?}");
    let found = tuned.choices().all();
    let chosen = |kernel: &'static str| {
        found.iter().filter(move |(name, _)| name.starts_with(kernel) && !name.contains("twin")).map(|(_, found)| found)
    };
    assert!(chosen("linear").count() >= 4, "{found:?}");
    let names: Vec<String> = Variant::all(&tuned, Types::default()).iter().map(|variant| variant.name()).collect();
    assert!(chosen("linear").all(|variant| names.contains(variant)), "{found:?}");
    assert_eq!(chosen("attention").count(), 1, "{found:?}");
    assert!(chosen("attention").all(|name| name.parse::<Attention>().is_ok()), "{found:?}");
    assert_eq!(logits(&tuned), got);
    assert_eq!(tuned.choices().all(), found, "the second session searched again");
    let untuned = plain.choices().all();
    assert!(untuned.keys().all(|name| name.contains("twin")), "{untuned:?}");
}

#[test]
fn what_a_gpu_would_run_changes_no_result_and_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let open_in = |as_gpu| {
        let mut options = ContextOptions::default();
        (options.as_gpu, options.keep) = (as_gpu, Keep::In(folder.path().to_owned()));
        pollster::block_on(Context::with_options(options)).unwrap()
    };
    let (plain, as_gpu) = (open_in(false), open_in(true));
    assert!(!as_gpu.is_emulated());
    let got = logits(&as_gpu);
    assert!(!as_gpu.choices().all().is_empty());
    assert!(open_in(false).choices().all().is_empty(), "what was found of a GPU's forms was kept");
    let expected = logits(&plain);
    assert!(!open_in(false).choices().all().is_empty(), "nothing is ever kept");
    assert!(open_in(true).choices().all().is_empty(), "what was found of a CPU's forms was believed");
    let most = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    assert!(expected.iter().zip(&got).all(|(a, b)| (a - b).abs() <= 1e-5 * most), "{expected:?} {got:?}");
}

#[test]
fn what_was_chosen_is_used() {
    let context = open(ContextOptions::default());
    let params = Params::new(24, 64, 64);
    for variant in Variant::all(&context, Types::default()) {
        context.choices().set("linear 24 64 64 f32 f32", variant.name());
        assert_eq!(tune::variant(&context, Types::default(), &params, Epilogue::Store).unwrap(), variant);
    }
    let default = tune::default_variant(&context, Types::default(), &params);
    for nonsense in ["", "subgroup 25", "cooperative"] {
        context.choices().set("linear 24 64 64 f32 f32", nonsense);
        assert_eq!(tune::variant(&context, Types::default(), &params, Epilogue::Store).unwrap(), default);
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
        // In what is made of keys alone, every key with itself, as cosines are.
        let wrong = |name: &str| {
            name.starts_with("linear") && !name.contains("cooperative")
                || name.starts_with("attention subgroup")
                || name.starts_with("query_key subgroup") && name.contains("cosines")
        };
        assert!(proven().filter(|(name, _)| wrong(name)).all(|(_, answer)| answer == "no"), "{found:?}");
        // Octets are for CPUs.
        if context.info().device_type == wgpu::DeviceType::Cpu && tcvit::gpu::Variant::Subgroup.available(&context) {
            for start in ["linear", "attention subgroup", "query_key subgroup"] {
                assert!(proven().any(|(name, _)| name.starts_with(start)), "{found:?}");
            }
        }
    }
}

#[test]
fn a_form_that_is_wrong_here_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in SHADERS {
        let file = folder.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let (right, wrong) = ("array(bias_of(column), ", "array(select(bias_of(column), vec4(9.0), GELU), ");
        std::fs::write(file, text.replace(right, wrong)).unwrap();
    }
    let mut options = ContextOptions::default();
    options.shaders = Some(folder.path().to_owned());
    let context = open(options);
    let model = Model::random_with(&context, &config(), 3, &LoadOptions::new().precision(Precision::F32)).unwrap();
    let session = model.session(SessionOptions::new().batch(2).condense(Condensation::training_free().drop(2)));
    match session {
        // Weights in buffers: another kernel makes the products.
        Ok(session) => {
            let expected = logits(&Context::blocking().unwrap());
            let got = session.logits(&pixels(&config(), 2, 1)).unwrap();
            let most = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            assert!(expected.iter().zip(&got).all(|(a, b)| (a - b).abs() <= 1e-5 * most), "{expected:?} {got:?}");
        }
        // Weights in textures: no other kernel reads them.
        Err(error) => assert!(error.to_string().contains("a kernel that is right on this device"), "{error}"),
    }
    if tcvit::gpu::Variant::Subgroup.available(&context) && context.info().device_type == wgpu::DeviceType::Cpu {
        let found = context.choices().all();
        let answers = |what: &str| -> Vec<&String> {
            let of_products =
                found.iter().filter(|(name, _)| name.starts_with("linear subgroup") && name.contains(what));
            of_products.map(|(_, answer)| answer).collect()
        };
        assert!(answers(" gelu").contains(&&"no".to_string()), "{found:?}");
        assert!(answers(" store").iter().all(|answer| *answer == "yes"), "{found:?}");
    }
}

#[test]
fn attention_that_was_found_to_be_fastest_is_used_if_it_is_right() {
    let mut options = ContextOptions::default();
    options.tune = true;
    let context = open(options);
    let model = Model::random_with(&context, &config(), 3, &LoadOptions::new().precision(Precision::F32)).unwrap();
    let attention = |batch: usize, condensation: Option<Condensation>| {
        let options = SessionOptions::new().batch(batch);
        let options = match condensation {
            Some(condensation) => options.condense(condensation),
            None => options,
        };
        model.session(options).unwrap().plan().attention
    };
    let searched = attention(3, Some(Condensation::paper().drop(2)));
    let of_attention = |found: &std::collections::BTreeMap<String, String>| -> Vec<(String, String)> {
        let of_attention = found.iter().filter(|(name, _)| name.starts_with("attention") && !name.contains("twin"));
        of_attention.map(|(name, found)| (name.clone(), found.clone())).collect()
    };
    let found = of_attention(&context.choices().all());
    let [(name, best)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((name.contains("Connectivity"), best.parse::<Attention>().unwrap()), (true, searched));
    // Whatever is remembered is used, for batches of a like size, with and without time to search.
    let runs = |way: &Attention| *way != Attention::Cooperative && way.variant().available(&context);
    for way in Attention::ALL.into_iter().filter(runs) {
        context.choices().set(name.clone(), way.name());
        assert_eq!(attention(2, Some(Condensation::paper().drop(2))), way);
    }
    context.choices().set(name.clone(), "nonsense");
    assert!(Attention::ALL.contains(&attention(2, Some(Condensation::paper().drop(2)))));
    // What condensing takes from attention, and how many images there are, is searched for by itself.
    attention(2, Some(Condensation::training_free().drop(2)));
    attention(2, None);
    attention(8, None);
    assert_eq!(of_attention(&context.choices().all()).len(), 4);
}
