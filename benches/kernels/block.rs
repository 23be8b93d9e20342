//! The kernels of a block: attention and dense layers.

use tcvit::low_level::gpu::{Precision, Types};
use tcvit::low_level::kernels::linear::Epilogue;
use tcvit::low_level::kernels::query_key::Products;
use tcvit::low_level::kernels::{attention, attention_mean, attention_mix, layer_norm, linear, query_key, softmax};

use crate::{Bench, HEADS, WIDTH};

pub fn block(bench: &mut Bench<'_>, tokens: usize) {
    let stride = tokens.next_multiple_of(4);
    let (x, qkv) = (bench.floats(tokens * WIDTH), bench.floats(tokens * WIDTH * 3));
    let (weight, bias) = (bench.floats(WIDTH * WIDTH * 3), bench.floats(WIDTH * 3));
    let (y, probs) = (bench.output(tokens * WIDTH * 3), bench.floats(HEADS * tokens * stride));
    let sizes = bench.floats(tokens);
    let (t, h, s) = (tokens as u32, HEADS as u32, stride as u32);
    let (width4, head4) = ((WIDTH / 4) as u32, (WIDTH / HEADS / 4) as u32);

    let types = Types::default();
    let params = linear::Params::new(tokens, WIDTH, WIDTH * 3);
    let call = linear::Call { params, types, epilogue: Epilogue::Store };
    bench.run_every(call, tokens, tokens * WIDTH * WIDTH * 3, |recorder, way, call| {
        let bindings = linear::Bindings { x: &x, w: (&weight).into(), bias: &bias, y: &y, residual: None };
        linear::record(recorder, way, call, bindings)
    });
    let params = layer_norm::Params { rows: t, width4, epsilon: 1e-6 };
    let call = layer_norm::Call { params, output: Precision::F32, gathers: false };
    bench.run_first(call, tokens, tokens * WIDTH, |recorder, way, call| {
        let bindings = layer_norm::Bindings { x: &x, weight: &bias, bias: &bias, y: &y, rows: None };
        layer_norm::record(recorder, way, call, bindings)
    });
    let params = query_key::Params {
        tokens: t,
        heads: h,
        images: 1,
        row4: 3 * width4,
        key_offset4: width4,
        head4,
        stride: s,
        scale: 0.125,
    };
    let call = query_key::Call { params, types, products: Products::Logits };
    bench.run_first(call, tokens, tokens * tokens * WIDTH, |recorder, way, call| {
        query_key::record(recorder, way, call, query_key::Bindings { x: &qkv, sizes: &sizes, y: &probs })
    });
    let params = softmax::Params { rows: h * t, columns: t, stride: s, scale: 1.0 };
    bench.run_first(softmax::Call { params }, tokens, HEADS * tokens * tokens, |recorder, way, call| {
        softmax::record(recorder, way, call, softmax::Bindings { x: &probs })
    });
    let params = attention_mix::Params {
        tokens: t,
        heads: h,
        stride4: s / 4,
        row4: 3 * width4,
        value_offset4: 2 * width4,
        head4,
    };
    bench.run("attention_mix", tokens, tokens * tokens * WIDTH, |recorder| {
        let bindings = attention_mix::Bindings { probs: &probs, qkv: &qkv, y: &y };
        attention_mix::record(recorder, types, params, 1, bindings)
    });
    let rows = bench.output(2 * HEADS * tokens);
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
    let call = attention::Call { params, types, proportional: false };
    bench.run_first(call, tokens, 2 * tokens * tokens * WIDTH, |recorder, way, call| {
        let bindings = attention::Bindings { qkv: &qkv, sizes: &sizes, y: &y, rows: &rows };
        attention::record(recorder, way, call, bindings)
    });
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
    let call = attention_mean::Call { params, types, proportional: false };
    bench.run_first(call, tokens, tokens * tokens * WIDTH, |recorder, way, call| {
        let bindings = attention_mean::Bindings { qkv: &qkv, sizes: &sizes, rows: &rows, y: &probs };
        attention_mean::record(recorder, way, call, bindings)
    });
}
