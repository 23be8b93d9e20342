//! A transformer block's two halves; condensing comes between them.

use crate::error::Result;
use crate::forward::Stage;
use crate::gpu::Recorder;
use crate::kernels::linear::{self, Epilogue};
use crate::kernels::query_key::{self, Products};
use crate::kernels::{attention_mix, layer_norm, softmax};
use crate::plan::Plan;
use crate::weights::{BlockWeights, Linear, Norm};

/// Records x += proj(attention(norm1(x))). Leaves the probabilities in `probs` and the keys in `qkv`.
pub(crate) fn record_attention(
    recorder: &mut Recorder<'_>,
    stage: &Stage<'_>,
    weights: &BlockWeights,
    proportional: bool,
) -> Result<()> {
    let (config, workspace) = (stage.config(), stage.workspace);
    let (tokens, heads, images) = (stage.tokens(), config.heads, stage.images as u32);
    let (width4, head4) = ((config.width / 4) as u32, (config.head_width() / 4) as u32);
    let stride = Plan::probs_stride(tokens);

    record_norm(
        recorder,
        stage.rows(),
        config.width,
        config.epsilon,
        &weights.norm1,
        stage.stream(),
        &workspace.normed,
    )?;
    record_linear(recorder, stage.rows(), &weights.qkv, Epilogue::Store, &workspace.normed, &workspace.qkv)?;

    let logits = query_key::Params {
        tokens: tokens as u32,
        heads: heads as u32,
        row4: 3 * width4,
        key_offset4: width4,
        head4,
        stride: stride as u32,
        scale: 1.0 / (config.head_width() as f32).sqrt(),
    };
    let bindings = query_key::Bindings { x: &workspace.qkv, sizes: stage.sizes(), y: &workspace.probs };
    let products = if proportional { Products::ProportionalLogits } else { Products::Logits };
    query_key::record(recorder, logits, images, products, bindings)?;

    let rows = (stage.rows() * heads) as u32;
    let softmax = softmax::Params { rows, columns: tokens as u32, stride: stride as u32, scale: 1.0 };
    softmax::record(recorder, softmax, softmax::Bindings { x: &workspace.probs })?;

    let mix = attention_mix::Params {
        tokens: tokens as u32,
        heads: heads as u32,
        stride4: (stride / 4) as u32,
        row4: 3 * width4,
        value_offset4: 2 * width4,
        head4,
    };
    let bindings = attention_mix::Bindings { probs: &workspace.probs, qkv: &workspace.qkv, y: &workspace.normed };
    attention_mix::record(recorder, mix, images, bindings)?;

    record_linear(recorder, stage.rows(), &weights.proj, Epilogue::Accumulate, &workspace.normed, stage.stream())
}

/// Records x += fc2(gelu(fc1(norm2(x)))).
pub(crate) fn record_mlp(recorder: &mut Recorder<'_>, stage: &Stage<'_>, weights: &BlockWeights) -> Result<()> {
    let (config, workspace, rows) = (stage.config(), stage.workspace, stage.rows());
    record_norm(recorder, rows, config.width, config.epsilon, &weights.norm2, stage.stream(), &workspace.normed)?;
    record_linear(recorder, rows, &weights.fc1, Epilogue::Gelu, &workspace.normed, &workspace.hidden)?;
    record_linear(recorder, rows, &weights.fc2, Epilogue::Accumulate, &workspace.hidden, stage.stream())
}

/// Records y [rows, D] = norm(x).
pub(crate) fn record_norm(
    recorder: &mut Recorder<'_>,
    rows: usize,
    width: usize,
    epsilon: f32,
    norm: &Norm,
    x: &wgpu::Buffer,
    y: &wgpu::Buffer,
) -> Result<()> {
    let params = layer_norm::Params { rows: rows as u32, width4: (width / 4) as u32, epsilon };
    layer_norm::record(recorder, params, layer_norm::Bindings { x, weight: &norm.weight, bias: &norm.bias, y })
}

/// Records `layer` on x [rows, inner] into y [rows, columns].
pub(crate) fn record_linear(
    recorder: &mut Recorder<'_>,
    rows: usize,
    layer: &Linear,
    epilogue: Epilogue,
    x: &wgpu::Buffer,
    y: &wgpu::Buffer,
) -> Result<()> {
    let params = linear::Params::new(rows, layer.inner, layer.columns);
    linear::record(recorder, params, epilogue, linear::Bindings { x, w: &layer.w, bias: &layer.bias, y })
}
