//! The two halves of a transformer block. Condensing comes between them.

use super::{Forward, Tokens, attention};
use crate::config::VitConfig;
use crate::error::Result;
use crate::gpu::{Precision, Recorder, Types};
use crate::kernels::layer_norm;
use crate::kernels::linear::{self, Epilogue, Residual};
use crate::ways;
use crate::weights::{BlockWeights, Linear, Norm};

/// Records x += proj(attention(norm1(x))). The keys remain in `qkv`, and so do the inputs of W and dominance in their
/// buffers.
pub(super) fn record_attention(
    recorder: &mut Recorder<'_>,
    forward: &Forward<'_>,
    weights: &BlockWeights,
    tokens: &Tokens,
) -> Result<()> {
    let (config, workspace) = (forward.config(), forward.workspace);
    let normed = Normed { rows: tokens.all(), precision: forward.precision(), gathered: None };
    record_norm(recorder, normed, config, &weights.norm1, &tokens.stream, &workspace.normed)?;
    let qkv = Output::stored(Epilogue::Store, forward.precision());
    record_linear(recorder, tokens.all(), &weights.qkv, qkv, &workspace.normed, &workspace.qkv)?;

    attention::record(recorder, forward, tokens)?;

    record_linear(recorder, tokens.all(), &weights.proj, Output::RESIDUAL, &workspace.normed, &tokens.stream)
}

/// Records x += fc2(act(fc1(norm2(x)))). If a fuse left the tokens between dropped ones, the result is written to the
/// other buffer with the tokens next to each other. This costs nothing extra, since every token is read and written
/// here anyway.
pub(super) fn record_mlp(
    recorder: &mut Recorder<'_>,
    forward: &Forward<'_>,
    weights: &BlockWeights,
    tokens: Tokens,
) -> Result<Tokens> {
    let (config, workspace, rows) = (forward.config(), forward.workspace, tokens.all());
    let normed = Normed { rows, precision: forward.precision(), gathered: tokens.rows.as_ref() };
    record_norm(recorder, normed, config, &weights.norm2, &tokens.stream, &workspace.normed)?;
    let hidden = Output::stored(Epilogue::Activate(config.activation), forward.precision());
    record_linear(recorder, rows, &weights.fc1, hidden, &workspace.normed, &workspace.hidden)?;
    let Some(gathered) = &tokens.rows else {
        record_linear(recorder, rows, &weights.fc2, Output::RESIDUAL, &workspace.hidden, &tokens.stream)?;
        return Ok(tokens);
    };
    let output = Output::onto(Residual { tokens: &tokens.stream, rows: gathered });
    let moved = workspace.other_tokens(&tokens.stream);
    record_linear(recorder, rows, &weights.fc2, output, &workspace.hidden, moved)?;
    Ok(Tokens { stream: moved.clone(), rows: None, ..tokens })
}

/// The input and output of a layer norm.
pub(super) struct Normed<'a> {
    pub(super) rows: usize,
    /// How the result is stored.
    pub(super) precision: Precision,
    /// The row of the input for each row of the result; `None` if both have the same rows.
    pub(super) gathered: Option<&'a wgpu::Buffer>,
}

/// Records y [rows, D] = norm(x).
pub(super) fn record_norm(
    recorder: &mut Recorder<'_>,
    normed: Normed<'_>,
    config: &VitConfig,
    norm: &Norm,
    x: &wgpu::Buffer,
    y: &wgpu::Buffer,
) -> Result<()> {
    let (rows, width4) = (normed.rows as u32, (config.width / 4) as u32);
    let params = layer_norm::Params { rows, width4, epsilon: config.epsilon };
    let call = layer_norm::Call { params, output: normed.precision, gathers: normed.gathered.is_some() };
    let way = ways::choose(recorder.context(), &call)?;
    let bindings = layer_norm::Bindings { x, weight: &norm.weight, bias: &norm.bias, y, rows: normed.gathered };
    layer_norm::record(recorder, way, call, bindings)
}

/// How the products of a dense layer are stored.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    epilogue: Epilogue,
    precision: Precision,
    /// The tokens to which [`Epilogue::Gather`] adds.
    residual: Option<Residual<'a>>,
}

impl<'a> Output<'a> {
    /// Added to the residual stream. The stream is always f32, since each addend is small compared with it.
    const RESIDUAL: Self = Self::stored(Epilogue::Accumulate, Precision::F32);
    /// Stored in f32.
    pub(super) const PLAIN: Self = Self::stored(Epilogue::Store, Precision::F32);

    const fn stored(epilogue: Epilogue, precision: Precision) -> Self {
        Self { epilogue, precision, residual: None }
    }

    /// Added to tokens that lie in another buffer or in other rows.
    fn onto(residual: Residual<'a>) -> Self {
        Self { epilogue: Epilogue::Gather, precision: Precision::F32, residual: Some(residual) }
    }
}

/// Records `layer` on x [rows, inner], stored in the precision of the layer's weights, into y [rows, columns rounded up
/// to 4].
pub(super) fn record_linear(
    recorder: &mut Recorder<'_>,
    rows: usize,
    layer: &Linear,
    output: Output<'_>,
    x: &wgpu::Buffer,
    y: &wgpu::Buffer,
) -> Result<()> {
    let w = layer.w.matrix();
    let types = Types::new(layer.precision, output.precision).at(w.home());
    let params = linear::Params::new(rows, layer.inner, layer.columns);
    let call = linear::Call { params, types, epilogue: output.epilogue };
    let way = ways::choose(recorder.context(), &call)?;
    let bindings = linear::Bindings { x, w, bias: &layer.bias, y, residual: output.residual };
    linear::record(recorder, way, call, bindings)
}
