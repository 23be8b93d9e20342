//! A transformer block's two halves; condensing comes between them.

use crate::config::VitConfig;
use crate::error::Result;
use crate::forward::Stage;
use crate::gpu::{Precision, Recorder, Types};
use crate::kernels::linear::{self, Epilogue};
use crate::kernels::query_key::{self, Products};
use crate::kernels::{attention_mix, layer_norm, softmax};
use crate::plan::Plan;
use crate::tune;
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

    record_norm(recorder, stage.rows(), stage.precision(), config, &weights.norm1, stage.stream(), &workspace.normed)?;
    let qkv = Output { epilogue: Epilogue::Store, precision: stage.precision() };
    record_linear(recorder, stage.rows(), &weights.qkv, qkv, &workspace.normed, &workspace.qkv)?;

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

    record_linear(recorder, stage.rows(), &weights.proj, Output::RESIDUAL, &workspace.normed, stage.stream())
}

/// Records x += fc2(gelu(fc1(norm2(x)))).
pub(crate) fn record_mlp(recorder: &mut Recorder<'_>, stage: &Stage<'_>, weights: &BlockWeights) -> Result<()> {
    let (config, workspace, rows) = (stage.config(), stage.workspace, stage.rows());
    record_norm(recorder, rows, stage.precision(), config, &weights.norm2, stage.stream(), &workspace.normed)?;
    let hidden = Output { epilogue: Epilogue::Gelu, precision: stage.precision() };
    record_linear(recorder, rows, &weights.fc1, hidden, &workspace.normed, &workspace.hidden)?;
    record_linear(recorder, rows, &weights.fc2, Output::RESIDUAL, &workspace.hidden, stage.stream())
}

/// Records y [rows, D], stored in `output`, = norm(x).
pub(crate) fn record_norm(
    recorder: &mut Recorder<'_>,
    rows: usize,
    output: Precision,
    config: &VitConfig,
    norm: &Norm,
    x: &wgpu::Buffer,
    y: &wgpu::Buffer,
) -> Result<()> {
    let params = layer_norm::Params { rows: rows as u32, width4: (config.width / 4) as u32, epsilon: config.epsilon };
    layer_norm::record(recorder, output, params, layer_norm::Bindings { x, weight: &norm.weight, bias: &norm.bias, y })
}

/// What becomes of a dense layer's products.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    pub(crate) epilogue: Epilogue,
    pub(crate) precision: Precision,
}

impl Output {
    /// Added to the residual stream, which is f32 always: what is added there is small beside it.
    pub(crate) const RESIDUAL: Self = Self { epilogue: Epilogue::Accumulate, precision: Precision::F32 };
    /// Stored in f32.
    pub(crate) const PLAIN: Self = Self { epilogue: Epilogue::Store, precision: Precision::F32 };
}

/// Records `layer` on x [rows, inner], stored as the layer's weights are, into y [rows, columns rounded up to 4].
pub(crate) fn record_linear(
    recorder: &mut Recorder<'_>,
    rows: usize,
    layer: &Linear,
    output: Output,
    x: &wgpu::Buffer,
    y: &wgpu::Buffer,
) -> Result<()> {
    let params = linear::Params::new(rows, layer.inner, layer.columns);
    let types = Types::new(layer.precision, output.precision);
    let variant = tune::variant(recorder.context(), types, &params);
    let bindings = linear::Bindings { x, w: &layer.w, bias: &layer.bias, y };
    linear::record(recorder, variant, types, params, output.epilogue, bindings)
}
