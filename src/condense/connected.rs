//! Connectivity-based condensation (TC-ViT): W by the metric, C's mean and dominance in the score, matches by C.

use super::{Decision, Matching, Step, dense};
use crate::attention;
use crate::condensation::{Chain, Condensation, Mean, Method, Metric, Path, Score, Weights};
use crate::doctor::ScoreUse;
use crate::error::Result;
use crate::gpu::{Home, Matrix, Recorder};
use crate::kernels::assign::Candidates;
use crate::kernels::attention_powers::Layout;
use crate::kernels::connectivity::{self, Part};
use crate::kernels::fuse::Fusion;
use crate::kernels::similarity::{self, Kind};
use crate::kernels::top_k::Listing;
use crate::kernels::{score, softmax, uniqueness};
use crate::tune;

/// Cosines are divided by this before the row softmax that makes W of them.
const TEMPERATURE: f32 = 0.1;

/// Records W where it is needed, and the score.
pub(super) fn decide<'a>(recorder: &mut Recorder<'_>, step: &Step<'a>) -> Result<Decision<'a>> {
    let (condensation, buffers) = (step.condensation, step.buffers);
    let mut summed = None;
    let layout = step.stage.layout_of_w(Some(condensation));
    if condensation.compares_attention() {
        let (w, sums, dominance) = (buffers.connectivity.matrix(), &buffers.column_sums, &buffers.dominance);
        summed = attention::record_connectivity(recorder, step.stage, w, sums, dominance, layout)?;
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
        // Before the cosines become W, which happens in place.
        let params = uniqueness::Params {
            patches: step.stage.patches as u32,
            prefix: step.stage.config().prefix() as u32,
            exponent,
            size_exponent,
        };
        let bindings = uniqueness::Bindings {
            cosine: &buffers.cosine,
            dominance: &buffers.dominance,
            sizes: step.stage.sizes(),
            score: &step.selection.score,
        };
        uniqueness::record(recorder, params, step.images(), bindings)?;
    }
    let w = match condensation.uses_connectivity() && !(matches_by_cosine(condensation) && step.selection.own.is_none())
    {
        true => Some(record_connectivity(recorder, step)?),
        false => None,
    };
    let chain = condensation.chain();
    let (matrix, chain) = match (w, condensation.path) {
        (None, _) => (Matrix::Buffer(&buffers.cosine), Chain::IDENTITY),
        (Some(w), Path::Dense) => {
            let size = (step.stage.images, step.stage.patches);
            // What is thin about C itself is nothing: its rows are rows.
            let w = w.buffer("dense connectivity")?;
            (Matrix::Buffer(dense::record(recorder, size, &buffers.dense, w, chain)?), Chain::IDENTITY)
        }
        (Some(w), Path::Thin) => (w, chain),
    };
    // What is summed is W, not the C that the dense path makes of it.
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
    // What lies in a texture is not inspected.
    let connectivity = w.and_then(|w| w.buffer("inspect").ok());
    Ok(Decision { listing, matching, fusion, connectivity })
}

/// Whether all that C is for is the largest element of a row, and C the softmax of cosines: the cosines tell as well.
fn matches_by_cosine(condensation: &Condensation) -> bool {
    matches!(condensation.metric, Metric::KeyCosine | Metric::Cosine)
        && (condensation.order, condensation.method) == (1, Method::PowerSum)
        && condensation.weights == Weights::Size
        && !condensation.uses_connectivity_score()
}

/// Records W by the metric, unless it is there already, and returns where it is.
fn record_connectivity<'a>(recorder: &mut Recorder<'_>, step: &Step<'a>) -> Result<Matrix<'a>> {
    let (config, buffers) = (step.stage.config(), step.buffers);
    let own = buffers.connectivity.matrix();
    if step.condensation.metric == Metric::Attention {
        return Ok(own);
    }
    let own = own.buffer("connectivity")?;
    match step.condensation.metric {
        Metric::Attention => Ok(Matrix::Buffer(own)),
        Metric::KeyCosine | Metric::Cosine => {
            record_row_softmax(recorder, step, 1.0 / TEMPERATURE, &buffers.cosine)?;
            Ok(Matrix::Buffer(&buffers.cosine))
        }
        Metric::Dot => {
            record_similarity(recorder, step, Kind::Dot, own)?;
            record_row_softmax(recorder, step, 1.0 / (config.width as f32).sqrt(), own)?;
            Ok(Matrix::Buffer(own))
        }
        Metric::Euclidean => {
            record_similarity(recorder, step, Kind::Distance, own)?;
            record_row_softmax(recorder, step, 1.0, own)?;
            Ok(Matrix::Buffer(own))
        }
    }
}

/// Records what tokens after attention's residual have to do with each other.
fn record_similarity(recorder: &mut Recorder<'_>, step: &Step<'_>, kind: Kind, y: &wgpu::Buffer) -> Result<()> {
    let config = step.stage.config();
    let params = similarity::Params {
        prefix: config.prefix() as u32,
        patches: step.stage.patches as u32,
        width4: (config.width / 4) as u32,
    };
    similarity::record(recorder, params, step.images(), kind, similarity::Bindings { x: step.stage.stream(), y })
}

fn record_row_softmax(recorder: &mut Recorder<'_>, step: &Step<'_>, scale: f32, x: &wgpu::Buffer) -> Result<()> {
    let columns = step.stage.patches as u32;
    let params = softmax::Params { rows: step.images() * columns, columns, stride: columns, scale };
    softmax::record(recorder, tune::way(recorder.context(), &["softmax"]), params, softmax::Bindings { x })
}

/// Records the score from c and D with the selection by it, unless a score is there already. Returns whether it did. With
/// `summed` the sums of the columns of `matrix` are there, in so many strips.
fn record_score(
    recorder: &mut Recorder<'_>,
    step: &Step<'_>,
    (matrix, chain, layout): (Matrix<'_>, Chain, Layout),
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
        // Every row is a strip of its own.
        None => (column_sums, params.strips) = (matrix.buffer(score::KERNEL.name)?, params.patches),
    }
    let source = match (chain.order, chain.newton_steps, condensation.mean) {
        (1, None, Mean::Column) if connectivity => {
            let w = if let Matrix::Texture(view) = matrix { Some(view) } else { None };
            score::Connectivity::First { column_sums, w }
        }
        (2, None, Mean::Column) if connectivity => score::Connectivity::Second { column_sums, w: matrix },
        _ => score::Connectivity::Mean(&buffers.mean),
    };
    if connectivity && matches!(source, score::Connectivity::Mean(_)) {
        let part = match condensation.mean {
            Mean::Column => Part::ColumnMean,
            Mean::Row => Part::RowMean,
        };
        let params = connectivity::Params::mean(selection.patches, chain);
        let w = matrix.buffer(connectivity::KERNEL.name)?;
        let bindings = connectivity::Bindings { w, list: &selection.slot, result: &buffers.mean };
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
    let used = ScoreUse {
        order: match source {
            score::Connectivity::Mean(_) => 0,
            score::Connectivity::First { .. } => 1,
            score::Connectivity::Second { .. } => 2,
        },
        home: if let score::Connectivity::Mean(_) = source { Home::Buffer } else { matrix.home() },
        aligned: params.stride.is_multiple_of(4),
        terms,
    };
    let variant = tune::of_score(recorder.context(), used);
    score::record(recorder, variant, params, step.images(), terms, bindings)?;
    Ok(true)
}
