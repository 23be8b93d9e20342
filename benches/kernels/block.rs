//! A block's two halves.

use tcvit::gpu::{Precision, Types, Variant};
use tcvit::kernels::linear::Epilogue;
use tcvit::kernels::query_key::Products;
use tcvit::kernels::{attention, attention_mean, attention_mix, layer_norm, linear, query_key, softmax};

use crate::{Bench, HEADS, WIDTH};

pub fn block(bench: &mut Bench<'_>, tokens: usize) {
    let stride = tokens.next_multiple_of(4);
    let (x, qkv) = (bench.floats(tokens * WIDTH), bench.floats(tokens * WIDTH * 3));
    let (weight, bias) = (bench.floats(WIDTH * WIDTH * 3), bench.floats(WIDTH * 3));
    let (y, probs) = (bench.output(tokens * WIDTH * 3), bench.floats(HEADS * tokens * stride));
    let sizes = bench.floats(tokens);
    let (t, h, s) = (tokens as u32, HEADS as u32, stride as u32);
    let (width4, head4) = ((WIDTH / 4) as u32, (WIDTH / HEADS / 4) as u32);

    let (types, way) = (Types::default(), Variant::preferred(&bench.gpu));
    let product = linear::Params::new(tokens, WIDTH, WIDTH * 3);
    let chosen = tcvit::tune::variant(&bench.gpu, types, &product, Epilogue::Store).unwrap();
    let all = linear::Variant::all(&bench.gpu, types)
        .into_iter()
        .map(|variant| (variant, format!("linear {}", variant.name())));
    for (variant, label) in std::iter::once((chosen, "linear".to_owned())).chain(all) {
        bench.run(&label, tokens, tokens * WIDTH * WIDTH * 3, |recorder| {
            let bindings = linear::Bindings { x: &x, w: (&weight).into(), bias: &bias, y: &y, residual: None };
            linear::record(recorder, variant, types, product, Epilogue::Store, bindings)
        });
    }
    bench.run("layer_norm", tokens, tokens * WIDTH, |recorder| {
        let params = layer_norm::Params { rows: t, width4, epsilon: 1e-6 };
        layer_norm::record(
            recorder,
            way,
            Precision::F32,
            params,
            layer_norm::Bindings { x: &x, weight: &bias, bias: &bias, y: &y, rows: None },
        )
    });
    bench.run("query_key", tokens, tokens * tokens * WIDTH, |recorder| {
        let params = query_key::Params {
            tokens: t,
            heads: h,
            row4: 3 * width4,
            key_offset4: width4,
            head4,
            stride: s,
            scale: 0.125,
        };
        query_key::record(
            recorder,
            way,
            types,
            params,
            1,
            Products::Logits,
            query_key::Bindings { x: (&qkv).into(), sizes: &sizes, y: &probs },
        )
    });
    bench.run("softmax", tokens, HEADS * tokens * tokens, |recorder| {
        let params = softmax::Params { rows: h * t, columns: t, stride: s, scale: 1.0 };
        softmax::record(recorder, way, params, softmax::Bindings { x: &probs })
    });
    bench.run("attention_mix", tokens, tokens * tokens * WIDTH, |recorder| {
        let params = attention_mix::Params {
            tokens: t,
            heads: h,
            stride4: s / 4,
            row4: 3 * width4,
            value_offset4: 2 * width4,
            head4,
        };
        let bindings = attention_mix::Bindings { probs: &probs, qkv: &qkv, y: &y };
        attention_mix::record(recorder, way, types, params, 1, bindings)
    });
    let (rows, spare, level) = (bench.output(2 * HEADS * tokens), bench.output(4), bench.output(4));
    bench.run("attention", tokens, 2 * tokens * tokens * WIDTH, |recorder| {
        let params = attention::Params {
            tokens: t,
            heads: h,
            images: 1,
            row4: 3 * width4,
            key_offset4: width4,
            value_offset4: 2 * width4,
            head4,
            scale: 0.125,
        };
        let emission = attention::Emission { powers: (&spare).into(), levels: &level };
        let bindings = attention::Bindings { qkv: &qkv, sizes: &sizes, y: &y, rows: &rows, emission };
        attention::record(recorder, way, types, params, attention::Form::default(), bindings)
    });
    bench.run("attention_mean", tokens, tokens * tokens * WIDTH, |recorder| {
        let params = attention_mean::Params {
            tokens: t,
            prefix: 1,
            heads: h,
            images: 1,
            query: 1,
            queries: t - 1,
            row4: 3 * width4,
            key_offset4: width4,
            head4,
            scale: 0.125,
        };
        let bindings = attention_mean::Bindings { qkv: &qkv, sizes: &sizes, rows: &rows, y: &probs };
        attention_mean::record(recorder, way, types, params, false, bindings)
    });
}
