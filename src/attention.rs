//! From queries, keys and values to attention's output, and where a condensation gets W and dominance from. Everything
//! that depends on how attention runs is here.

use crate::config::VitConfig;
use crate::error::{Error, Result};
use crate::forward::Stage;
use crate::gpu::{Context, Matrix, Precision, Recorder, Types, Variant};
use crate::kernels::attention as fused;
use crate::kernels::attention_powers::Layout;
use crate::kernels::query_key::{self, Products};
use crate::kernels::{attention_connectivity, attention_mean, attention_mix, attention_powers, dominance, softmax};
use crate::plan::{Attention, Plan};

mod search;

pub(crate) use search::fastest;

/// How attention runs where nothing is searched for: what was fastest at DeiT's shapes on an H200, or on llvmpipe where a
/// CPU emulates a GPU; of kernels that are right on this device.
fn preferred(wanted: &search::Wanted<'_>) -> Attention {
    let best: &[Attention] = match wanted.context.is_emulated() {
        // Arithmetic is what a CPU lacks. The plain fused kernel's barriers cost more than it saves where subgroups are
        // missing.
        true => &[Attention::Emitting, Attention::Fused(Variant::Subgroup), Attention::Stored(Variant::Subgroup)],
        false => &[Attention::Cooperative, Attention::Fused(Variant::Plain)],
    };
    best.iter().copied().find(|&attention| wanted.is_right(attention)).unwrap_or(Attention::Stored(Variant::Plain))
}

/// Refuses what this device or this model cannot run.
pub(crate) fn check(context: &Context, config: &VitConfig, precision: Precision, attention: Attention) -> Result<()> {
    let head = config.head_width();
    if attention == Attention::Cooperative
        && (precision, fused::cooperative::takes(context, head)) != (Precision::F16, true)
    {
        let expected = "cooperative matrices, f16, and heads of 1 to 8 whole matrices, for cooperative attention";
        let got = format!("{precision}, heads of {head} dimensions on {}", context.describe());
        return Err(Error::config("open session", expected, got));
    }
    if !attention.variant().available(context) {
        let expected = "a device with subgroups of one size, of at least 8 lanes";
        return Err(Error::limit("open session", format!("{expected}, for {attention:?}"), context.describe()));
    }
    if !attention.takes(head) {
        let expected = format!("heads of at most {} dimensions, for {attention:?}", fused::WIDEST_HEAD);
        return Err(Error::config("open session", expected, config.head_width().to_string()));
    }
    Ok(())
}

/// Numbers that several kernels take alike.
struct Shape {
    images: u32,
    tokens: u32,
    heads: u32,
    width4: u32,
    head4: u32,
    scale: f32,
    stride: u32,
}

impl Shape {
    fn of(stage: &Stage<'_>) -> Self {
        let config = stage.config();
        Self {
            images: stage.images as u32,
            tokens: stage.tokens() as u32,
            heads: config.heads as u32,
            width4: (config.width / 4) as u32,
            head4: (config.head_width() / 4) as u32,
            scale: 1.0 / (config.head_width() as f32).sqrt(),
            stride: Plan::probs_stride(stage.tokens()) as u32,
        }
    }
}

/// What `qkv` and `normed` are stored in; logits and probabilities are f32.
fn types(stage: &Stage<'_>) -> Types {
    Types::new(stage.precision(), stage.precision())
}

/// Records attention from `qkv` into `normed`.
pub(crate) fn record(recorder: &mut Recorder<'_>, stage: &Stage<'_>) -> Result<()> {
    match stage.plan.attention {
        Attention::Stored(variant) => record_stored(recorder, stage, variant),
        Attention::Fused(_) | Attention::Emitting | Attention::Cooperative => record_fused(recorder, stage),
    }
}

fn record_stored(recorder: &mut Recorder<'_>, stage: &Stage<'_>, variant: Variant) -> Result<()> {
    let (shape, workspace, types) = (Shape::of(stage), stage.workspace, types(stage));
    let logits = query_key::Params {
        tokens: shape.tokens,
        heads: shape.heads,
        row4: 3 * shape.width4,
        key_offset4: shape.width4,
        head4: shape.head4,
        stride: shape.stride,
        scale: shape.scale,
    };
    let bindings = query_key::Bindings { x: (&workspace.qkv).into(), sizes: stage.sizes(), y: &workspace.probs };
    let products = if stage.proportional() { Products::ProportionalLogits } else { Products::Logits };
    query_key::record(recorder, variant, types, logits, shape.images, products, bindings)?;

    let rows = shape.images * shape.heads * shape.tokens;
    let softmax = softmax::Params { rows, columns: shape.tokens, stride: shape.stride, scale: 1.0 };
    softmax::record(recorder, variant, softmax, softmax::Bindings { x: &workspace.probs })?;

    let mix = attention_mix::Params {
        tokens: shape.tokens,
        heads: shape.heads,
        stride4: shape.stride / 4,
        row4: 3 * shape.width4,
        value_offset4: 2 * shape.width4,
        head4: shape.head4,
    };
    let bindings = attention_mix::Bindings { probs: &workspace.probs, qkv: &workspace.qkv, y: &workspace.normed };
    attention_mix::record(recorder, variant, types, mix, shape.images, bindings)
}

fn record_fused(recorder: &mut Recorder<'_>, stage: &Stage<'_>) -> Result<()> {
    let (shape, workspace) = (Shape::of(stage), stage.workspace);
    let params = fused::Params {
        tokens: shape.tokens,
        heads: shape.heads,
        images: shape.images,
        row4: 3 * shape.width4,
        key_offset4: shape.width4,
        value_offset4: 2 * shape.width4,
        head4: shape.head4,
        scale: shape.scale,
    };
    let bindings = fused::Bindings {
        qkv: &workspace.qkv,
        sizes: stage.sizes(),
        y: &workspace.normed,
        rows: &workspace.softmax_rows,
        emission: workspace.emission(),
    };
    if stage.plan.attention == Attention::Cooperative {
        return fused::cooperative::record(recorder, types(stage), params, stage.proportional(), bindings);
    }
    let form = fused::Form { proportional: stage.proportional(), emits: stage.emits() };
    fused::record(recorder, stage.plan.attention.variant(), types(stage), params, form, bindings)
}

/// Records D [B, N], while `qkv` and sizes are still those of [`record`].
pub(crate) fn record_dominance(recorder: &mut Recorder<'_>, stage: &Stage<'_>, result: &wgpu::Buffer) -> Result<()> {
    match stage.plan.attention {
        Attention::Stored(_) => {
            let shape = Shape::of(stage);
            let params = dominance::Params {
                tokens: shape.tokens,
                prefix: stage.config().prefix() as u32,
                heads: shape.heads,
                stride: shape.stride,
            };
            let bindings = dominance::Bindings { probs: &stage.workspace.probs, dominance: result };
            dominance::record(recorder, params, shape.images, bindings)
        }
        Attention::Fused(_) | Attention::Emitting | Attention::Cooperative => {
            record_mean(recorder, stage, 0..1, result)
        }
    }
}

/// Records W [B, N, N] of the `attention` metric and D [B, N], while `qkv` and sizes are still those of [`record`]; from
/// stored probabilities, powers or matrices also the sums of the columns of W [B, strips, N]. Returns in how many strips it
/// did that, if it did. W and sums lie as `layout` says.
pub(crate) fn record_connectivity(
    recorder: &mut Recorder<'_>,
    stage: &Stage<'_>,
    w: Matrix<'_>,
    column_sums: &wgpu::Buffer,
    dominance: &wgpu::Buffer,
    layout: Layout,
) -> Result<Option<usize>> {
    let prefix = stage.config().prefix() as u32;
    match stage.plan.attention {
        Attention::Stored(_) => {
            let shape = Shape::of(stage);
            let params = attention_connectivity::Params {
                tokens: shape.tokens,
                prefix,
                heads: shape.heads,
                stride4: shape.stride / 4,
            };
            let (probs, w) = (&stage.workspace.probs, w.buffer(attention_connectivity::KERNEL.name)?);
            let bindings = attention_connectivity::Bindings { probs, w, column_sums, dominance };
            attention_connectivity::record(recorder, params, shape.images, bindings)?;
            Ok(Some(attention_connectivity::strips(stage.patches)))
        }
        Attention::Emitting => {
            let shape = Shape::of(stage);
            let params = attention_powers::Params::new(shape.images, shape.tokens, prefix, shape.heads, layout);
            let (emission, rows) = (stage.workspace.emission(), &stage.workspace.softmax_rows);
            let bindings = attention_powers::Bindings { emission, rows, w, column_sums, dominance };
            attention_powers::record(recorder, types(stage), params, bindings)?;
            Ok(Some(attention_connectivity::strips(stage.patches)))
        }
        Attention::Cooperative => {
            let (shape, workspace) = (Shape::of(stage), stage.workspace);
            let strips = attention_mean::cooperative::strips(recorder.context(), stage.tokens())?;
            let params = attention_mean::cooperative::Params {
                tokens: shape.tokens,
                prefix,
                heads: shape.heads,
                images: shape.images,
                row4: 3 * shape.width4,
                key_offset4: shape.width4,
                head4: shape.head4,
                scale: shape.scale,
                first: prefix - layout.shift,
                stride: layout.stride,
                strips: strips as u32,
            };
            let bindings = attention_mean::cooperative::Bindings {
                qkv: &workspace.qkv,
                sizes: stage.sizes(),
                rows: &workspace.softmax_rows,
                w: w.buffer(attention_mean::cooperative::KERNEL.name)?,
                dominance,
                column_sums,
            };
            attention_mean::cooperative::record(recorder, types(stage), params, stage.proportional(), bindings)?;
            Ok(Some(strips))
        }
        Attention::Fused(_) => {
            record_mean(recorder, stage, 0..1, dominance)?;
            record_mean(recorder, stage, prefix..stage.tokens() as u32, w.buffer(attention_mean::KERNEL.name)?)?;
            Ok(None)
        }
    }
}

/// Records the mean over heads of P[:, :, queries, E:].
fn record_mean(
    recorder: &mut Recorder<'_>,
    stage: &Stage<'_>,
    queries: std::ops::Range<u32>,
    y: &wgpu::Buffer,
) -> Result<()> {
    let (shape, workspace) = (Shape::of(stage), stage.workspace);
    let params = attention_mean::Params {
        tokens: shape.tokens,
        prefix: stage.config().prefix() as u32,
        heads: shape.heads,
        images: shape.images,
        query: queries.start,
        queries: queries.end - queries.start,
        row4: 3 * shape.width4,
        key_offset4: shape.width4,
        head4: shape.head4,
        scale: shape.scale,
    };
    let bindings =
        attention_mean::Bindings { qkv: &workspace.qkv, sizes: stage.sizes(), rows: &workspace.softmax_rows, y };
    attention_mean::record(
        recorder,
        stage.plan.attention.variant(),
        Types::new(stage.precision(), Precision::F32),
        params,
        stage.proportional(),
        bindings,
    )
}
