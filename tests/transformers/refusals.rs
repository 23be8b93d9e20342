//! Checkpoints in transformers' format that are broken or contradict their configuration.

use serde_json::{Value, json};
use tcvit::low_level::weights::Checkpoint;
use tcvit::{Model, Result};

use crate::support::gpu;
use crate::{Tensors, config_json, serialize, tensors};

/// Loads folder `name` with changed tensors and configuration. It must be refused with an error that contains all of
/// `texts`.
#[track_caller]
fn refused(name: &str, change: impl FnOnce(&mut Tensors, &mut Value), texts: &[&str]) {
    let (mut tensors, mut config) = (tensors(name), config_json(name));
    change(&mut tensors, &mut config);
    let load = || -> Result<Model> {
        let checkpoint = Checkpoint::from_bytes(serialize(&tensors), "theirs.safetensors")?;
        Model::from_checkpoint(gpu(), checkpoint, Some(&config.to_string()))
    };
    let error = load().err().expect("refused").to_string();
    println!("{error}");
    for text in texts {
        assert!(error.contains(text), "{text:?} is not in: {error}");
    }
}

#[test]
fn configurations_that_contradict_are_refused() {
    for (name, field, value, texts) in [
        ("vit", "hidden_size", json!(128), ["hidden_size 128", "hidden_size 64"]),
        ("vit", "num_hidden_layers", json!(12), ["num_hidden_layers 12", "num_hidden_layers 3"]),
        ("vit", "intermediate_size", json!(256), ["intermediate_size 256", "intermediate_size 192"]),
        ("vit", "image_size", json!(224), ["image_size 224", "image_size 64"]),
        ("vit", "patch_size", json!([16, 16]), ["patch_size 16", "patch_size 8"]),
        ("vit", "patch_size", json!([8, 16]), ["patch_size [8, 16]", "patch_size 8"]),
        ("vit", "id2label", json!({ "0": "a", "1": "b" }), ["num_classes 2", "7 classes"]),
        ("vit", "num_attention_heads", json!(5), ["a divisor of the width", "got 5"]),
        ("vit", "hidden_act", json!("gelu_new"), ["hidden_act gelu", "gelu_new"]),
        ("vit", "model_type", json!("dinov3_vit"), ["model_type one of vit, deit", "dinov3_vit"]),
        ("dinov2", "mlp_ratio", json!(4), ["mlp_ratio 256", "mlp_ratio 192"]),
        ("dinov2", "use_swiglu_ffn", json!(true), ["two layers with GELU", "swiglu"]),
        ("dinov2_registers", "num_register_tokens", json!(8), ["num_register_tokens 8", "num_register_tokens 4"]),
    ] {
        refused(name, |_, config| config[field] = value, &texts);
    }
}

#[test]
fn tensors_that_do_not_fit_are_named_in_their_own_words() {
    let gone = "vit.encoder.layer.1.attention.attention.key.bias";
    refused("vit", |tensors, _| drop(tensors.remove(gone)), &[gone, "no tensor of that name"]);
    let gone = "dinov2.encoder.layer.2.layer_scale2.lambda1";
    refused("dinov2", |tensors, _| drop(tensors.remove(gone)), &[gone, "no tensor of that name"]);
    let gone = "deit.embeddings.cls_token";
    refused("deit", |tensors, _| drop(tensors.remove(gone)), &[gone]);
    refused("deit_teacher", |tensors, _| drop(tensors.remove("distillation_classifier.bias")), &["distillation_class"]);
    let more = |name: &'static str| {
        move |tensors: &mut Tensors, _: &mut Value| {
            drop(tensors.insert(name.to_owned(), (vec![1], vec![0.5])));
        }
    };
    refused("vit", more("vit.encoder.layer.0.attention.relative"), &["left over", "attention.relative"]);
    let name = "embeddings.position_embeddings";
    let shorter = |tensors: &mut Tensors, _: &mut Value| {
        *tensors.get_mut(name).unwrap() = (vec![1, 1, 64], vec![0.5; 64]);
    };
    refused("dinov2_registers", shorter, &["position embedding"]);
    let name = "encoder.layer.0.mlp.weights_in.weight";
    refused("dinov2_registers", more(name), &["SwiGLU", name]);
}
