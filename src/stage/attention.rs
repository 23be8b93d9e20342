//! Attention: from queries, keys and values to its output, and the W and dominance that a condensation needs.
//! Everything that depends on the route of attention is here.

use super::{Forward, Tokens};
use crate::error::Result;
use crate::gpu::{Context, Precision, Recorder, Types, Way};
use crate::kernels::attention as fused;
use crate::kernels::layout::Layout;
use crate::kernels::query_key::{self, Products};
use crate::kernels::{attention_connectivity, attention_mean, attention_mix, dominance, softmax};
use crate::plan::{Attention, Plan};
use crate::ways;

mod route;

pub(crate) use route::{check, fastest};

/// Parameters that several kernels have in common.
struct Shape {
    images: u32,
    tokens: u32,
    prefix: u32,
    heads: u32,
    width4: u32,
    head4: u32,
    scale: f32,
    stride: u32,
}

impl Shape {
    fn of(forward: &Forward<'_>, tokens: &Tokens) -> Self {
        let config = forward.config();
        Self {
            images: tokens.images as u32,
            tokens: tokens.count() as u32,
            prefix: tokens.prefix as u32,
            heads: config.heads as u32,
            width4: (config.width / 4) as u32,
            head4: (config.head_width() / 4) as u32,
            scale: 1.0 / (config.head_width() as f32).sqrt(),
            stride: Plan::probs_stride(tokens.count()) as u32,
        }
    }
}

/// The types of `qkv` and `normed`. Logits and probabilities are f32.
fn types(forward: &Forward<'_>) -> Types {
    Types::new(forward.precision(), forward.precision())
}

/// Records attention from `qkv` into `normed`.
pub(super) fn record(recorder: &mut Recorder<'_>, forward: &Forward<'_>, tokens: &Tokens) -> Result<()> {
    match forward.plan.attention {
        Attention::Stored => record_stored(recorder, forward, tokens),
        Attention::Fused | Attention::Cooperative => record_fused(recorder, forward, tokens),
    }
}

fn record_stored(recorder: &mut Recorder<'_>, forward: &Forward<'_>, tokens: &Tokens) -> Result<()> {
    let (shape, workspace, types) = (Shape::of(forward, tokens), forward.workspace, types(forward));
    let context = recorder.context();
    let params = query_key::Params {
        tokens: shape.tokens,
        heads: shape.heads,
        row4: 3 * shape.width4,
        key_offset4: shape.width4,
        head4: shape.head4,
        stride: shape.stride,
        scale: shape.scale,
        images: shape.images,
    };
    let products = if forward.is_proportional() { Products::ProportionalLogits } else { Products::Logits };
    let call = query_key::Call { params, types: Types::new(types.input, Precision::F32), products };
    let bindings = query_key::Bindings { x: &workspace.qkv, sizes: &tokens.sizes, y: &workspace.probs };
    query_key::record(recorder, ways::choose(context, &call)?, call, bindings)?;

    let rows = shape.images * shape.heads * shape.tokens;
    let call =
        softmax::Call { params: softmax::Params { rows, columns: shape.tokens, stride: shape.stride, scale: 1.0 } };
    softmax::record(recorder, ways::choose(context, &call)?, call, softmax::Bindings { x: &workspace.probs })?;

    let params = attention_mix::Params {
        tokens: shape.tokens,
        heads: shape.heads,
        stride4: shape.stride / 4,
        row4: 3 * shape.width4,
        value_offset4: 2 * shape.width4,
        head4: shape.head4,
    };
    let bindings = attention_mix::Bindings { probs: &workspace.probs, qkv: &workspace.qkv, y: &workspace.normed };
    attention_mix::record(recorder, types, params, shape.images, bindings)
}

/// The call of the fused kernel for `shape`.
fn fused_call(shape: &Shape, types: Types, proportional: bool) -> fused::Call {
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
    fused::Call { params, types, proportional }
}

/// The way of the fused kernel for `call` on the route `attention`.
fn fused_way(context: &Context, attention: Attention, call: &fused::Call) -> Result<&'static Way<fused::Call>> {
    match attention {
        Attention::Cooperative => ways::require(context, fused::cooperative(), call),
        Attention::Stored | Attention::Fused => {
            let mut ranked = ways::ranked(context, call).into_iter().map(|(_, way)| way);
            let found = ranked.find(|way| *way != fused::cooperative() && ways::is_verified(context, way, call));
            found.map_or_else(|| ways::require(context, fused::plain(), call), Ok)
        }
    }
}

fn record_fused(recorder: &mut Recorder<'_>, forward: &Forward<'_>, tokens: &Tokens) -> Result<()> {
    let (shape, workspace) = (Shape::of(forward, tokens), forward.workspace);
    let types = types(forward);
    let call = fused_call(&shape, types, forward.is_proportional());
    let bindings = fused::Bindings {
        qkv: &workspace.qkv,
        sizes: &tokens.sizes,
        y: &workspace.normed,
        rows: &workspace.softmax_rows,
    };
    let way = fused_way(recorder.context(), forward.plan.attention, &call)?;
    fused::record(recorder, way, call, bindings)
}

/// Records dominance D [B, N]. `qkv` and sizes must still be those that [`record`] used.
pub(super) fn record_dominance(
    recorder: &mut Recorder<'_>,
    forward: &Forward<'_>,
    tokens: &Tokens,
    result: &wgpu::Buffer,
) -> Result<()> {
    match forward.plan.attention {
        Attention::Stored => {
            let shape = Shape::of(forward, tokens);
            let params = dominance::Params {
                tokens: shape.tokens,
                prefix: shape.prefix,
                heads: shape.heads,
                stride: shape.stride,
            };
            let bindings = dominance::Bindings { probs: &forward.workspace.probs, dominance: result };
            dominance::record(recorder, params, shape.images, bindings)
        }
        Attention::Fused | Attention::Cooperative => record_mean(recorder, forward, tokens, 0..1, result),
    }
}

/// Records W [B, N, N] of the `attention` metric and dominance D [B, N]. `qkv` and sizes must still be those that
/// [`record`] used. From stored probabilities and by cooperative matrices, also records the sums of the columns of W
/// [B, strips, N] and returns the number of strips; otherwise returns `None`. W and the sums have the given layout.
pub(super) fn record_connectivity(
    recorder: &mut Recorder<'_>,
    forward: &Forward<'_>,
    tokens: &Tokens,
    w: &wgpu::Buffer,
    column_sums: &wgpu::Buffer,
    dominance: &wgpu::Buffer,
    layout: Layout,
) -> Result<Option<usize>> {
    let (shape, workspace) = (Shape::of(forward, tokens), forward.workspace);
    let strips = Some(attention_connectivity::strips(tokens.patches));
    match forward.plan.attention {
        Attention::Stored => {
            let params = attention_connectivity::Params {
                tokens: shape.tokens,
                prefix: shape.prefix,
                heads: shape.heads,
                stride4: shape.stride / 4,
            };
            let probs = &workspace.probs;
            let bindings = attention_connectivity::Bindings { probs, w, column_sums, dominance };
            attention_connectivity::record(recorder, params, shape.images, bindings)?;
            Ok(strips)
        }
        Attention::Cooperative => {
            let strips = attention_mean::cooperative::strips(recorder.traits(), tokens.count());
            let call = mean_by_matrices(&shape, types(forward), forward.is_proportional(), layout, strips);
            let way = ways::require(recorder.context(), attention_mean::cooperative::way(), &call)?;
            let bindings = attention_mean::cooperative::Bindings {
                qkv: &workspace.qkv,
                sizes: &tokens.sizes,
                rows: &workspace.softmax_rows,
                w,
                dominance,
                column_sums,
            };
            attention_mean::cooperative::record(recorder, way, call, bindings)?;
            Ok(Some(strips))
        }
        Attention::Fused => {
            record_mean(recorder, forward, tokens, 0..1, dominance)?;
            let queries = shape.prefix..shape.tokens;
            record_mean(recorder, forward, tokens, queries, w)?;
            Ok(None)
        }
    }
}

/// The call that computes W and dominance by cooperative matrices.
fn mean_by_matrices(
    shape: &Shape,
    types: Types,
    proportional: bool,
    layout: Layout,
    strips: usize,
) -> attention_mean::cooperative::Call {
    let params = attention_mean::cooperative::Params {
        tokens: shape.tokens,
        prefix: shape.prefix,
        heads: shape.heads,
        images: shape.images,
        row4: 3 * shape.width4,
        key_offset4: shape.width4,
        head4: shape.head4,
        scale: shape.scale,
        first: shape.prefix - layout.shift,
        stride: layout.stride,
        strips: strips as u32,
    };
    attention_mean::cooperative::Call { params, types, proportional }
}

/// The call that computes the mean over heads of P[:, :, queries, E:].
fn mean_call(
    shape: &Shape,
    precision: Precision,
    proportional: bool,
    queries: std::ops::Range<u32>,
) -> attention_mean::Call {
    let params = attention_mean::Params {
        tokens: shape.tokens,
        prefix: shape.prefix,
        heads: shape.heads,
        images: shape.images,
        query: queries.start,
        queries: queries.end - queries.start,
        row4: 3 * shape.width4,
        key_offset4: shape.width4,
        head4: shape.head4,
        scale: shape.scale,
    };
    attention_mean::Call { params, types: Types::new(precision, Precision::F32), proportional }
}

/// Records the mean over heads of P[:, :, queries, E:].
fn record_mean(
    recorder: &mut Recorder<'_>,
    forward: &Forward<'_>,
    tokens: &Tokens,
    queries: std::ops::Range<u32>,
    y: &wgpu::Buffer,
) -> Result<()> {
    let (shape, workspace) = (Shape::of(forward, tokens), forward.workspace);
    let call = mean_call(&shape, forward.precision(), forward.is_proportional(), queries);
    let way = ways::choose(recorder.context(), &call)?;
    let (qkv, rows) = (&workspace.qkv, &workspace.softmax_rows);
    attention_mean::record(recorder, way, call, attention_mean::Bindings { qkv, sizes: &tokens.sizes, rows, y })
}
