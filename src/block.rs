//! A transformer block's two halves; condensing comes between them.

use crate::attention;
use crate::config::VitConfig;
use crate::error::Result;
use crate::forward::Stage;
use crate::gpu::{Precision, Recorder, Types};
use crate::kernels::layer_norm;
use crate::kernels::linear::{self, Epilogue, Residual};
use crate::tune;
use crate::weights::{BlockWeights, Linear, Norm};

/// Records x += proj(attention(norm1(x))). Leaves the keys in `qkv`, and what W and dominance are made of.
pub(crate) fn record_attention(recorder: &mut Recorder<'_>, stage: &Stage<'_>, weights: &BlockWeights) -> Result<()> {
    let (config, workspace) = (stage.config(), stage.workspace);
    let normed = Normed { rows: stage.rows(), precision: stage.precision(), gathered: None };
    record_norm(recorder, normed, config, &weights.norm1, stage.stream(), &workspace.normed)?;
    let qkv = Output::stored(Epilogue::Store, stage.precision());
    record_linear(recorder, stage.rows(), &weights.qkv, qkv, &workspace.normed, &workspace.qkv)?;

    attention::record(recorder, stage)?;

    record_linear(recorder, stage.rows(), &weights.proj, Output::RESIDUAL, &workspace.normed, stage.stream())
}

/// Records x += fc2(gelu(fc1(norm2(x)))). Tokens that a fusion left scattered lie next to each other afterwards, in the
/// other buffer: every one of them is read and written here anyhow.
pub(crate) fn record_mlp(recorder: &mut Recorder<'_>, stage: &mut Stage<'_>, weights: &BlockWeights) -> Result<()> {
    let (workspace, rows) = (stage.workspace, stage.rows());
    let gathered = stage.scattered_rows();
    let normed = Normed { rows, precision: stage.precision(), gathered };
    record_norm(recorder, normed, stage.config(), &weights.norm2, stage.stream(), &workspace.normed)?;
    let hidden = Output::stored(Epilogue::Gelu, stage.precision());
    record_linear(recorder, rows, &weights.fc1, hidden, &workspace.normed, &workspace.hidden)?;
    let Some(gathered) = gathered else {
        return record_linear(recorder, rows, &weights.fc2, Output::RESIDUAL, &workspace.hidden, stage.stream());
    };
    let output = Output::onto(Residual { tokens: stage.stream(), rows: gathered });
    let moved = &workspace.tokens[1 - stage.current];
    record_linear(recorder, rows, &weights.fc2, output, &workspace.hidden, moved)?;
    stage.current = 1 - stage.current;
    stage.scattered = false;
    Ok(())
}

/// What a norm is made of, and for.
pub(crate) struct Normed<'a> {
    pub(crate) rows: usize,
    /// How the result is stored.
    pub(crate) precision: Precision,
    /// The row of the input that each row of the result is made of; `None` where they are the same.
    pub(crate) gathered: Option<&'a wgpu::Buffer>,
}

/// Records y [rows, D] = norm(x).
pub(crate) fn record_norm(
    recorder: &mut Recorder<'_>,
    normed: Normed<'_>,
    config: &VitConfig,
    norm: &Norm,
    x: &wgpu::Buffer,
    y: &wgpu::Buffer,
) -> Result<()> {
    let (rows, width4) = (normed.rows as u32, (config.width / 4) as u32);
    let params = layer_norm::Params { rows, width4, epsilon: config.epsilon };
    let bindings = layer_norm::Bindings { x, weight: &norm.weight, bias: &norm.bias, y, rows: normed.gathered };
    let (size, gathers) = ([normed.rows, config.width], normed.gathered.is_some());
    let variant = tune::of_norm(recorder.context(), size, normed.precision, gathers);
    layer_norm::record(recorder, variant, normed.precision, params, bindings)
}

/// What becomes of a dense layer's products.
#[derive(Clone, Copy)]
pub(crate) struct Output<'a> {
    epilogue: Epilogue,
    precision: Precision,
    /// What [`Epilogue::Gather`] adds to.
    residual: Option<Residual<'a>>,
}

impl<'a> Output<'a> {
    /// Added to the residual stream, which is f32 always: what is added there is small beside it.
    const RESIDUAL: Self = Self::stored(Epilogue::Accumulate, Precision::F32);
    /// Stored in f32.
    pub(crate) const PLAIN: Self = Self::stored(Epilogue::Store, Precision::F32);

    const fn stored(epilogue: Epilogue, precision: Precision) -> Self {
        Self { epilogue, precision, residual: None }
    }

    /// Added to tokens of the stream that lie elsewhere.
    fn onto(residual: Residual<'a>) -> Self {
        Self { epilogue: Epilogue::Gather, precision: Precision::F32, residual: Some(residual) }
    }
}

/// Records `layer` on x [rows, inner], stored as the layer's weights are, into y [rows, columns rounded up to 4].
pub(crate) fn record_linear(
    recorder: &mut Recorder<'_>,
    rows: usize,
    layer: &Linear,
    output: Output<'_>,
    x: &wgpu::Buffer,
    y: &wgpu::Buffer,
) -> Result<()> {
    let params = linear::Params::new(rows, layer.inner, layer.columns);
    let types = Types::new(layer.precision, output.precision).at(layer.w.matrix().home());
    let variant = tune::variant(recorder.context(), types, &params, output.epilogue)?;
    let bindings = linear::Bindings { x, w: layer.w.matrix(), bias: &layer.bias, y, residual: output.residual };
    linear::record(recorder, variant, types, params, output.epilogue, bindings)
}
