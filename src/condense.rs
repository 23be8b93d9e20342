//! Between attention and MLP: which tokens go, and into which they are fused (DESIGN section 2). In order: W, the
//! score, selection, matching, fusion.

use crate::condensation::{Chain, Condensation, Mean, Metric, Path, Score, Weights};
use crate::error::Result;
use crate::forward::Stage;
use crate::gpu::Recorder;
use crate::kernels::connectivity::{self, Part};
use crate::kernels::{
    assign, attention_connectivity, dominance, fuse, key_mean, query_key, score, softmax, top_k, uniqueness,
};
use crate::plan::Plan;
use crate::workspace::{CondenseBuffers, Selection};

mod dense;

pub use dense::connectivity_matrix;

/// Cosines are divided by this before the row softmax that makes W of them.
const TEMPERATURE: f32 = 0.1;

/// Records the condensation of one block and moves `stage` on to the fused tokens.
pub(crate) fn record(
    recorder: &mut Recorder<'_>,
    stage: &mut Stage<'_>,
    condensation: &Condensation,
    selection: &mut Selection,
) -> Result<()> {
    let workspace = stage.workspace;
    let Some(buffers) = selection.own.as_ref().or(workspace.condense.as_ref()) else { return Ok(()) };
    if condensation.uses_dominance() {
        record_dominance(recorder, stage, buffers)?;
    }
    if condensation.uses_cosine() {
        record_cosine(recorder, stage, buffers)?;
    }
    if let Score::Uniqueness { exponent } = condensation.score {
        // Before the cosines become W, which happens in place.
        let params = uniqueness::Params { images: stage.images as u32, patches: stage.patches as u32, exponent };
        let bindings =
            uniqueness::Bindings { cosine: &buffers.cosine, dominance: &buffers.dominance, score: &selection.score };
        uniqueness::record(recorder, params, bindings)?;
    }
    let chain = condensation.chain();
    let (matrix, thin) = match condensation.uses_connectivity() {
        false => (&buffers.connectivity, chain),
        true => {
            let w = record_connectivity(recorder, stage, condensation, buffers)?;
            selection.connectivity = selection.own.is_some().then(|| w.clone());
            match condensation.path {
                Path::Thin => (w, chain),
                // What is thin about C itself is nothing: its rows are rows.
                Path::Dense => (
                    {
                        let size = (stage.images, stage.patches);
                        dense::record(recorder, size, &buffers.dense, w, chain)?
                    },
                    Chain::IDENTITY,
                ),
            }
        }
    };
    record_score(recorder, stage, condensation, buffers, (matrix, thin), selection)?;

    let kept = selection.patches - selection.dropped;
    let bindings = top_k::Bindings { score: &selection.score, order: &selection.order, slot: &selection.slot };
    top_k::record(recorder, top_k::Params::new(selection.patches, kept), stage.images as u32, bindings)?;

    if condensation.weights != Weights::None {
        record_matches(recorder, stage, condensation, buffers, (matrix, thin), selection)?;
    }
    record_fuse(recorder, stage, condensation, buffers, selection)?;
    stage.current = 1 - stage.current;
    stage.patches = kept;
    Ok(())
}

fn record_dominance(recorder: &mut Recorder<'_>, stage: &Stage<'_>, buffers: &CondenseBuffers) -> Result<()> {
    let tokens = stage.tokens();
    let params = dominance::Params {
        tokens: tokens as u32,
        prefix: stage.config().prefix() as u32,
        heads: stage.config().heads as u32,
        stride: Plan::probs_stride(tokens) as u32,
    };
    let bindings = dominance::Bindings { probs: &stage.workspace.probs, dominance: &buffers.dominance };
    dominance::record(recorder, params, stage.images as u32, bindings)
}

fn record_cosine(recorder: &mut Recorder<'_>, stage: &Stage<'_>, buffers: &CondenseBuffers) -> Result<()> {
    let config = stage.config();
    let (width4, head4) = ((config.width / 4) as u32, (config.head_width() / 4) as u32);
    let params = key_mean::Params {
        images: stage.images as u32,
        tokens: stage.tokens() as u32,
        prefix: config.prefix() as u32,
        heads: config.heads as u32,
        row4: 3 * width4,
        key_offset4: width4,
        head4,
    };
    key_mean::record(recorder, params, key_mean::Bindings { qkv: &stage.workspace.qkv, keys: &buffers.keys })?;
    let patches = stage.patches as u32;
    // Unit keys are both queries and keys of one head.
    let params = query_key::Params {
        tokens: patches,
        heads: 1,
        row4: head4,
        key_offset4: 0,
        head4,
        stride: patches,
        scale: 1.0,
    };
    let bindings = query_key::Bindings { x: &buffers.keys, sizes: stage.sizes(), y: &buffers.cosine };
    query_key::record(recorder, params, stage.images as u32, false, bindings)
}

/// Records W by the metric and returns the buffer it is in.
fn record_connectivity<'b>(
    recorder: &mut Recorder<'_>,
    stage: &Stage<'_>,
    condensation: &Condensation,
    buffers: &'b CondenseBuffers,
) -> Result<&'b wgpu::Buffer> {
    match condensation.metric {
        Metric::Attention => {
            let tokens = stage.tokens();
            let params = attention_connectivity::Params {
                images: stage.images as u32,
                tokens: tokens as u32,
                prefix: stage.config().prefix() as u32,
                heads: stage.config().heads as u32,
                stride: Plan::probs_stride(tokens) as u32,
            };
            let bindings = attention_connectivity::Bindings { probs: &stage.workspace.probs, w: &buffers.connectivity };
            attention_connectivity::record(recorder, params, bindings)?;
            Ok(&buffers.connectivity)
        }
        Metric::KeyCosine => {
            let columns = stage.patches as u32;
            let rows = stage.images as u32 * columns;
            let params = softmax::Params { rows, columns, stride: columns, scale: 1.0 / TEMPERATURE };
            softmax::record(recorder, params, softmax::Bindings { x: &buffers.cosine })?;
            Ok(&buffers.cosine)
        }
    }
}

/// Records the score from c and D, unless it is there already.
fn record_score(
    recorder: &mut Recorder<'_>,
    stage: &Stage<'_>,
    condensation: &Condensation,
    buffers: &CondenseBuffers,
    (matrix, thin): (&wgpu::Buffer, Chain),
    selection: &Selection,
) -> Result<()> {
    let (images, patches) = (stage.images as u32, stage.patches);
    let (connectivity, dominance) = match condensation.score {
        Score::Uniqueness { .. } => return Ok(()),
        Score::Combined => (true, true),
        Score::Connectivity => (true, false),
        Score::Dominance => (false, true),
    };
    if connectivity {
        let part = match condensation.mean {
            Mean::Column => Part::ColumnMean,
            Mean::Row => Part::RowMean,
        };
        let bindings = connectivity::Bindings { w: matrix, list: &selection.slot, result: &buffers.mean };
        connectivity::record(recorder, connectivity::Params::mean(patches, thin), images, part, bindings)?;
    }
    let terms = score::Terms { normalise: condensation.normalise, connectivity, dominance };
    let params =
        score::Params { patches: patches as u32, beta: condensation.beta, scale: condensation.chain().scale() };
    let bindings =
        score::Bindings { connectivity: &buffers.mean, dominance: &buffers.dominance, score: &selection.score };
    score::record(recorder, params, images, terms, bindings)
}

/// Records which kept token each dropped one goes to, and the weights that need C.
fn record_matches(
    recorder: &mut Recorder<'_>,
    stage: &Stage<'_>,
    condensation: &Condensation,
    buffers: &CondenseBuffers,
    (matrix, thin): (&wgpu::Buffer, Chain),
    selection: &Selection,
) -> Result<()> {
    let (images, patches, dropped) = (stage.images as u32, selection.patches, selection.dropped);
    let params = connectivity::Params::listed(patches, dropped, patches, patches - dropped, thin);
    let bindings = connectivity::Bindings { w: matrix, list: &selection.order, result: &buffers.rows };
    connectivity::record(recorder, params, images, Part::Rows, bindings)?;

    let params = assign::Params { patches: patches as u32, dropped: dropped as u32 };
    let bindings = assign::Bindings {
        rows: &buffers.rows,
        slot: &selection.slot,
        assigned: &selection.assigned,
        connection: &buffers.connection,
    };
    assign::record(recorder, params, images, bindings)?;

    if condensation.weights == Weights::Connectivity {
        let params = connectivity::Params::listed(patches, dropped, dropped, 0, thin);
        let bindings = connectivity::Bindings { w: matrix, list: &selection.assigned, result: &buffers.diagonal };
        connectivity::record(recorder, params, images, Part::Diagonal, bindings)?;
    }
    Ok(())
}

fn record_fuse(
    recorder: &mut Recorder<'_>,
    stage: &Stage<'_>,
    condensation: &Condensation,
    buffers: &CondenseBuffers,
    selection: &Selection,
) -> Result<()> {
    let config = stage.config();
    let params = fuse::Params {
        images: stage.images as u32,
        prefix: config.prefix() as u32,
        patches: selection.patches as u32,
        dropped: selection.dropped as u32,
        width4: (config.width / 4) as u32,
    };
    let next = 1 - stage.current;
    let bindings = fuse::Bindings {
        tokens: stage.stream(),
        sizes: stage.sizes(),
        order: &selection.order,
        assigned: &selection.assigned,
        connection: &buffers.connection,
        diagonal: &buffers.diagonal,
        fused: &stage.workspace.tokens[next],
        fused_sizes: &stage.workspace.sizes[next],
    };
    fuse::record(recorder, params, condensation.weights, bindings)
}
