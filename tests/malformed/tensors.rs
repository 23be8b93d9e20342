//! Intact files whose tensors are not those of a ViT.

use safetensors::Dtype;
use tcvit::low_level::random::Random;
use tcvit::{Model, SessionOptions};

use crate::support::checkpoint::{DEPTH, IMAGE, Tensor, Tiny, WIDTH, config_json};
use crate::support::relative;
use crate::support::small::refused;

fn logits(model: &Model) -> Vec<f32> {
    let pixels = Random::named("pixels", 1).tensor(2 * 3 * IMAGE * IMAGE, 0.0, 1.5);
    model.session(SessionOptions::new().batch(2)).unwrap().logits(&pixels).unwrap()
}

#[test]
fn a_missing_tensor_is_named() {
    for name in Tiny::valid().0.into_keys() {
        // Each of these may be absent, but then together with its counterparts.
        let texts: &[&str] = match name.as_str() {
            "head.weight" => &["left over", "head.bias"],
            "blocks.0.attn.qkv.bias" => &["left over", "blocks.1.attn.qkv.bias"],
            name => &[name],
        };
        refused(Tiny::valid().without(&name).load(None), "Weights", texts);
    }
    let mut gap = Tiny::valid();
    gap.insert("blocks.3.norm1.weight", &[WIDTH]);
    refused(gap.load(None), "Weights", &["blocks.2.norm1.weight", "no tensor of that name"]);
    refused(Tiny(Default::default()).load(None), "Weights", &["patch_embed.proj.weight"]);
}

#[test]
fn a_left_over_tensor_is_named() {
    refused(
        Tiny::valid().with("blocks.1.attn.relative_position", &[4]).load(None),
        "Weights",
        &["tiny.safetensors", "left over: blocks.1.attn.relative_position"],
    );
    let many = (0..20).fold(Tiny::valid(), |tiny, i| tiny.with(&format!("extra.{i:02}"), &[1]));
    refused(many.load(None), "Weights", &["extra.00, extra.01", "and 12 more"]);
}

#[test]
fn a_wrong_shape_is_named_with_both_shapes() {
    for (name, tensor) in Tiny::valid().0 {
        let mut shape = tensor.shape.clone();
        shape[0] += 4;
        let result = Tiny::valid().with(&name, &shape).load(None);
        // If the shape decides a size of the model, another tensor is the one that does not fit.
        let decides = ["patch_embed.proj.weight", "head.weight", "blocks.0.mlp.fc1.weight"].contains(&name.as_str());
        match decides {
            true => drop(refused(result, "Weights", &["load tensor", "shape"])),
            false => drop(refused(result, "Weights", &[&name, &format!("{:?}", tensor.shape), &format!("{shape:?}")])),
        }
        let flat = Tiny::valid().with(&name, &[tensor.shape.iter().product::<usize>() * 2]);
        refused(flat.load(None), "Weights", &[&name]);
    }
    let transposed = Tiny::valid().with("blocks.1.mlp.fc2.weight", &[32, 16]);
    refused(transposed.load(None), "Weights", &["blocks.1.mlp.fc2.weight", "[16, 32]", "[32, 16]"]);
}

#[test]
fn a_wrong_type_is_named() {
    for (dtype, bytes) in [(Dtype::I64, 8), (Dtype::F64, 8), (Dtype::U8, 1), (Dtype::BOOL, 1), (Dtype::I32, 4)] {
        let mut tiny = Tiny::valid();
        let tensor = Tensor { dtype, shape: vec![WIDTH], bytes: vec![0; WIDTH * bytes] };
        tiny.0.insert("blocks.1.norm2.bias".into(), tensor);
        let dtype = format!("{dtype:?}");
        refused(tiny.load(None), "Weights", &["blocks.1.norm2.bias", "f32, f16 or bf16", &dtype]);
    }
}

#[test]
fn a_weight_that_is_no_number_is_named() {
    let names = ["patch_embed.proj.weight", "pos_embed", "blocks.1.attn.qkv.bias", "norm.weight", "head.weight"];
    for name in names {
        for (value, text) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
            let result = Tiny::valid().with_value(name, 7, value).load(None);
            refused(result, "Weights", &[name, "finite", text, "element 7"]);
        }
    }
    let half = Tiny::valid().with_value("head.bias", 2, f32::INFINITY).halved(Dtype::F16, |_| true);
    refused(half.load(None), "Weights", &["head.bias", "inf at element 2"]);
}

/// The weights are finite, but f32 cannot hold the results.
#[test]
fn a_result_that_is_no_number_is_refused() {
    let tiny = (0..WIDTH).fold(Tiny::valid(), |tiny, at| tiny.with_value("head.weight", at, 3e38));
    let tiny = (0..WIDTH).fold(tiny, |tiny, at| tiny.with_value("norm.bias", at, 100.0));
    let model = tiny.load(None).unwrap();
    let session = model.session(SessionOptions::new()).unwrap();
    refused(session.logits(&vec![0.5; 3 * IMAGE * IMAGE]), "NotFinite", &["logits", "inf at 0"]);
}

#[test]
fn a_position_embedding_that_is_no_square_is_refused() {
    for rows in [0, 3, 12, 19, 100_000] {
        let result = Tiny::valid().with("pos_embed", &[1, rows, WIDTH]).load(None);
        refused(result, "Weights", &["position embedding", "square", &format!("{rows} rows"), "1 prefix"]);
    }
    refused(Tiny::valid().with("pos_embed", &[WIDTH]).load(None), "Weights", &["pos_embed", "[16]"]);
}

/// Shapes that exceed any memory, but that a header can contain, since a factor of 0 makes the tensors empty.
#[test]
fn empty_tensors_of_huge_shapes_never_panic() {
    let huge = 1 << 62;
    for (name, shape) in [
        ("patch_embed.proj.weight", vec![huge, 3, 0, 0]),
        ("patch_embed.proj.weight", vec![huge, 1, 0, 0]),
        ("patch_embed.proj.weight", vec![0, 3, huge, huge]),
        ("patch_embed.proj.weight", vec![0, 3, 4, 4]),
        ("patch_embed.proj.weight", vec![16, 3, 0, 0]),
        ("blocks.0.mlp.fc1.weight", vec![huge, 0]),
        ("blocks.0.mlp.fc1.weight", vec![0, 16]),
        ("pos_embed", vec![0, huge, 0]),
        ("head.weight", vec![huge, 0]),
        ("reg_token", vec![1, huge, 0]),
        ("reg_token", vec![1, usize::MAX, 0]),
        ("reg_token", vec![huge, 0]),
        ("reg_token", vec![0]),
    ] {
        let text = refused_somehow(Tiny::valid().with(name, &shape));
        println!("{name} {shape:?}: {text}");
    }
    let scalar = Tiny::valid().with("reg_token", &[]);
    assert_eq!(scalar.0["reg_token"].bytes.len(), 4);
    refused_somehow(scalar);
    refused_somehow(Tiny::valid().with("dist_token", &[]));
    refused_somehow(Tiny::valid().with(&format!("blocks.{}.norm1.weight", usize::MAX), &[16]));
    refused_somehow(Tiny::valid().with(&format!("blocks.{}.norm1.weight", usize::MAX - 1), &[16]));
}

fn refused_somehow(tiny: Tiny) -> String {
    match tiny.load(None) {
        Ok(_) => panic!("accepted"),
        Err(error @ (tcvit::Error::Weights { .. } | tcvit::Error::Config { .. })) => error.to_string(),
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn heads_that_do_not_divide_are_refused() {
    for (heads, text) in [(0, "at least 1"), (3, "a divisor of the width"), (8, "multiple of 4"), (17, "divisor")] {
        let mut config = config_json();
        config["model_args"]["num_heads"] = heads.into();
        refused(Tiny::valid().load(Some(&config.to_string())), "Config", &["head", text]);
    }
}

#[test]
fn half_precision_gives_nearly_the_same() {
    let config = config_json().to_string();
    let expected = logits(&Tiny::valid().load(Some(&config)).unwrap());
    for (dtype, tolerance) in [(Dtype::F16, 2e-3), (Dtype::BF16, 2e-2)] {
        let all = logits(&Tiny::valid().halved(dtype, |_| true).load(Some(&config)).unwrap());
        let error = relative(&all, &expected);
        println!("{dtype:?}: {error:.1e}");
        assert!(error <= tolerance, "{dtype:?}: logits differ by {error:e}");
        assert!(error > 1e-6, "{dtype:?} rounds, so bits must differ: {error:e}");
        let mixed = Tiny::valid().halved(dtype, |name| name.contains("mlp"));
        let error = relative(&logits(&mixed.load(Some(&config)).unwrap()), &expected);
        assert!(error <= tolerance && error > 0.0, "{dtype:?} mixed: logits differ by {error:e}");
    }
}

/// Every tensor and the number of heads affect the result. Without this, the comparison above would prove nothing about
/// those that do not.
#[test]
fn every_tensor_matters() {
    let config = config_json().to_string();
    let expected = logits(&Tiny::valid().load(Some(&config)).unwrap());
    for name in Tiny::valid().0.into_keys() {
        let mut tiny = Tiny::valid();
        let tensor = tiny.0.get_mut(&name).unwrap();
        let values = tensor.values();
        let noise = Random::named(&name, 77).tensor(values.len(), 0.0, 0.2);
        let values: Vec<f32> = values.iter().zip(noise).map(|(value, noise)| value + noise).collect();
        *tensor = Tensor::floats(&tensor.shape, &values);
        let error = relative(&logits(&tiny.load(Some(&config)).unwrap()), &expected);
        assert!(error > 1e-5, "{name} does not matter: {error:e}");
    }
    let one_head = logits(&Tiny::valid().load(None).unwrap());
    assert!(relative(&one_head, &expected) > 1e-5, "the number of heads does not matter");
    assert_eq!(DEPTH, 2);
}
