//! A transformer block's two halves; condensing comes between them.

use crate::attention;
use crate::error::Result;
use crate::forward::Stage;
use crate::gpu::Recorder;
use crate::kernels::layer_norm;
use crate::kernels::linear::{self, Epilogue};
use crate::weights::{BlockWeights, Linear, Norm};

/// Records x += proj(attention(norm1(x))). Leaves the keys in `qkv`, and what W and dominance are made of.
pub(crate) fn record_attention(recorder: &mut Recorder<'_>, stage: &Stage<'_>, weights: &BlockWeights) -> Result<()> {
    let (config, workspace) = (stage.config(), stage.workspace);
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

    attention::record(recorder, stage)?;

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
