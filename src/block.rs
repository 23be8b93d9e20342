//! A transformer block's two halves; condensing comes between them.

use crate::attention;
use crate::config::VitConfig;
use crate::error::Result;
use crate::forward::Stage;
use crate::gpu::{Precision, Recorder, Types};
use crate::kernels::layer_norm;
use crate::kernels::linear::{self, Epilogue};
use crate::tune;
use crate::weights::{BlockWeights, Linear, Norm};

/// Records x += proj(attention(norm1(x))). Leaves the keys in `qkv`, and what W and dominance are made of.
pub(crate) fn record_attention(recorder: &mut Recorder<'_>, stage: &Stage<'_>, weights: &BlockWeights) -> Result<()> {
    let (config, workspace) = (stage.config(), stage.workspace);
    record_norm(recorder, stage.rows(), stage.precision(), config, &weights.norm1, stage.stream(), &workspace.normed)?;
    let qkv = Output { epilogue: Epilogue::Store, precision: stage.precision() };
    record_linear(recorder, stage.rows(), &weights.qkv, qkv, &workspace.normed, &workspace.qkv)?;

    attention::record(recorder, stage)?;

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
    let bindings = layer_norm::Bindings { x, weight: &norm.weight, bias: &norm.bias, y };
    layer_norm::record(recorder, tune::way(recorder.context(), &["layer_norm"]), output, params, bindings)
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
