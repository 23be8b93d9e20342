//! Connectivity-based condensation (TC-ViT): W by the metric, a score from dominance and the mean of C or from cosines,
//! and matches by C.

use super::{Decision, Matching, Step, attention, dense};
use crate::condensation::{Chain, Condensation, Mean, Method, Metric, Path, Score, Weights};
use crate::error::Result;
use crate::gpu::Recorder;
use crate::kernels::assign::Candidates;
use crate::kernels::connectivity::{self, Part};
use crate::kernels::fuse::Fusion;
use crate::kernels::layout::Layout;
use crate::kernels::similarity::{self, Kind};
use crate::kernels::top_k::Listing;
use crate::kernels::{score, softmax, uniqueness};
use crate::ways;

/// Cosines are divided by this before the row softmax that turns them into W.
const TEMPERATURE: f32 = 0.1;

/// Records W, if it is needed, and the score.
pub(super) fn decide<'a>(recorder: &mut Recorder<'_>, step: &Step<'a>) -> Result<Decision<'a>> {
    let (condensation, buffers) = (step.condensation, step.buffers);
    let mut summed = None;
    let layout = step.forward.layout_of_w(step.tokens.patches);
    if condensation.compares_attention() {
        let (w, sums, dominance) = (&buffers.connectivity, &buffers.column_sums, &buffers.dominance);
        summed = attention::record_connectivity(recorder, step.forward, step.tokens, w, sums, dominance, layout)?;
    } else if condensation.uses_dominance() {
        step.dominance(recorder, &buffers.dominance)?;
    }
    if condensation.uses_cosine() {
        match condensation.metric {
            Metric::Cosine => step.token_cosine(recorder)?,
            _ => step.key_cosine(recorder)?,
        }
    }
    if let Score::Uniqueness { exponent, size_exponent } = condensation.score {
        // Recorded before W overwrites the cosines.
        let params = uniqueness::Params {
            patches: step.tokens.patches as u32,
            prefix: step.forward.config().prefix() as u32,
            exponent,
            size_exponent,
        };
        let bindings = uniqueness::Bindings {
            cosine: &buffers.cosine,
            dominance: &buffers.dominance,
            sizes: &step.tokens.sizes,
            score: &step.selection.score,
        };
        let call = uniqueness::Call { params, images: step.images() };
        uniqueness::record(recorder, ways::choose(recorder.context(), &call)?, call, bindings)?;
    }
    let w = match condensation.uses_connectivity() && !(matches_by_cosine(condensation) && step.selection.own.is_none())
    {
        true => Some(record_connectivity(recorder, step)?),
        false => None,
    };
    let chain = condensation.chain();
    let (matrix, chain) = match (w, condensation.path) {
        (None, _) => (&buffers.cosine, Chain::IDENTITY),
        (Some(w), Path::Dense) => {
            let size = (step.tokens.images, step.tokens.patches);
            // All of C has been computed, so its rows are rows of this matrix.
            (dense::record(recorder, size, &buffers.dense, w, chain)?, Chain::IDENTITY)
        }
        (Some(w), Path::Thin) => (w, chain),
    };
    // The sums are those of W, which are of no use when the dense path has computed C.
    let summed = summed.filter(|_| condensation.path == Path::Thin);
    let selected = record_score(recorder, step, (matrix, chain, layout), summed)?;
    let fusion = match condensation.weights {
        Weights::None => Fusion::None,
        Weights::Connectivity => Fusion::Connectivity,
        Weights::Size => Fusion::Size,
    };
    let matching = match fusion {
        Fusion::None => Matching::None,
        _ => Matching::Row { matrix, layout, chain, candidates: Candidates::Any },
    };
    let listing = if selected { None } else { Some(Listing::Ascending) };
    Ok(Decision { listing, matching, fusion, connectivity: w })
}

/// Whether C is only used to find the largest element of each row, and C is the row softmax of cosines. The largest
/// cosine is at the same place, so W need not be computed.
fn matches_by_cosine(condensation: &Condensation) -> bool {
    matches!(condensation.metric, Metric::KeyCosine | Metric::Cosine)
        && (condensation.order, condensation.method) == (1, Method::PowerSum)
        && condensation.weights == Weights::Size
        && !condensation.uses_connectivity_score()
}

/// Records W by the metric, unless it has been recorded with attention, and returns its buffer.
fn record_connectivity<'a>(recorder: &mut Recorder<'_>, step: &Step<'a>) -> Result<&'a wgpu::Buffer> {
    let (config, buffers) = (step.forward.config(), step.buffers);
    let own = &buffers.connectivity;
    match step.condensation.metric {
        Metric::Attention => Ok(own),
        Metric::KeyCosine | Metric::Cosine => {
            record_row_softmax(recorder, step, 1.0 / TEMPERATURE, &buffers.cosine)?;
            Ok(&buffers.cosine)
        }
        Metric::Dot => {
            record_similarity(recorder, step, Kind::Dot, own)?;
            record_row_softmax(recorder, step, 1.0 / (config.width as f32).sqrt(), own)?;
            Ok(own)
        }
        Metric::Euclidean => {
            record_similarity(recorder, step, Kind::Distance, own)?;
            record_row_softmax(recorder, step, 1.0, own)?;
            Ok(own)
        }
    }
}

/// Records the similarity of tokens to each other, taken after attention's residual is added.
fn record_similarity(recorder: &mut Recorder<'_>, step: &Step<'_>, kind: Kind, y: &wgpu::Buffer) -> Result<()> {
    let config = step.forward.config();
    let params = similarity::Params {
        prefix: config.prefix() as u32,
        patches: step.tokens.patches as u32,
        width4: (config.width / 4) as u32,
    };
    similarity::record(recorder, params, step.images(), kind, similarity::Bindings { x: &step.tokens.stream, y })
}

fn record_row_softmax(recorder: &mut Recorder<'_>, step: &Step<'_>, scale: f32, x: &wgpu::Buffer) -> Result<()> {
    let columns = step.tokens.patches as u32;
    let call =
        softmax::Call { params: softmax::Params { rows: step.images() * columns, columns, stride: columns, scale } };
    softmax::record(recorder, ways::choose(recorder.context(), &call)?, call, softmax::Bindings { x })
}

/// Records the score from c and D and the selection by it, unless a score has been recorded already. Returns whether it
/// did. If `summed` is given, the buffer `column_sums` holds the sums of the columns of `matrix` over that many strips.
fn record_score(
    recorder: &mut Recorder<'_>,
    step: &Step<'_>,
    (matrix, chain, layout): (&wgpu::Buffer, Chain, Layout),
    summed: Option<usize>,
) -> Result<bool> {
    let (condensation, buffers, selection) = (step.condensation, step.buffers, step.selection);
    let Some((connectivity, dominance)) = condensation.score_counts() else { return Ok(false) };
    let kept = selection.patches - selection.dropped;
    let mut params = score::Params::new(selection.patches, kept, condensation.beta, condensation.chain());
    params = params.laid_out(layout);
    let mut column_sums = &buffers.column_sums;
    match summed {
        Some(strips) => params.strips = strips as u32,
        // Each row is a strip, so the matrix itself serves as the sums.
        None => (column_sums, params.strips) = (matrix, params.patches),
    }
    let source = match (chain.order, chain.newton_steps, condensation.mean) {
        (1, None, Mean::Column) if connectivity => score::Connectivity::First { column_sums },
        (2, None, Mean::Column) if connectivity => score::Connectivity::Second { column_sums, w: matrix },
        _ => score::Connectivity::Mean(&buffers.mean),
    };
    if connectivity && matches!(source, score::Connectivity::Mean(_)) {
        let part = match condensation.mean {
            Mean::Column => Part::ColumnMean,
            Mean::Row => Part::RowMean,
        };
        let params = connectivity::Params::mean(selection.patches, chain);
        let bindings = connectivity::Bindings { w: matrix, list: &selection.slot, result: &buffers.mean };
        connectivity::record(recorder, params, step.images(), part, bindings)?;
    }
    let terms = score::Terms { normalise: condensation.normalise, connectivity, dominance };
    let bindings = score::Bindings {
        connectivity: source,
        dominance: &buffers.dominance,
        score: &selection.score,
        order: &selection.order,
        slot: &selection.slot,
    };
    let call = score::Call { params, images: step.images(), terms, order: source.order() };
    score::record(recorder, ways::choose(recorder.context(), &call)?, call, bindings)?;
    Ok(true)
}
