//! Condensing, between attention and MLP: which tokens are dropped, and into which they are fused. The steps are the
//! reducer's score, selection, matching and fusion. Reducers differ only in what [`decide`] records and returns.

use super::attention;
use super::{Forward, Tokens};
use crate::condensation::{Chain, Condensation, Reducer};
use crate::cosines;
use crate::error::Result;
use crate::gpu::{Precision, Recorder, Types};
use crate::kernels::assign::{self, Candidates, Rows};
use crate::kernels::connectivity::{self, Part};
use crate::kernels::fuse::{self, Fusion};
use crate::kernels::layout::Layout;
use crate::kernels::query_key;
use crate::kernels::top_k::{self, Listing};
use crate::kernels::{assign_lowest, key_mean};
use crate::ways;
use crate::workspace::{CondenseBuffers, Selection};

mod baselines;
mod connected;
mod dense;

pub use dense::connectivity_matrix;

/// One block's condensation while it is recorded.
struct Step<'a> {
    forward: &'a Forward<'a>,
    tokens: &'a Tokens,
    condensation: &'a Condensation,
    buffers: &'a CondenseBuffers,
    selection: &'a Selection,
}

/// The steps that follow when tokens have scores.
struct Decision<'a> {
    /// The order in which kept tokens leave the block; `None` if they have been selected already.
    listing: Option<Listing>,
    /// The tokens into which dropped tokens are fused.
    matching: Matching<'a>,
    /// How the members of a fused token are weighted.
    fusion: Fusion,
    /// W, if it was computed.
    connectivity: Option<&'a wgpu::Buffer>,
}

/// The token into which each dropped token is fused.
enum Matching<'a> {
    /// None: dropped tokens are pruned.
    None,
    /// The kept candidate with the largest element in the token's row of the matrix that `chain` gives for `matrix` [B,
    /// N, N], which has the given layout.
    Row { matrix: &'a wgpu::Buffer, layout: Layout, chain: Chain, candidates: Candidates },
    /// The kept token with the lowest score, for all dropped tokens.
    LowestScore,
}

/// Records the condensation of one block. Kept tokens stay at their rows, between those of dropped tokens, until the
/// MLP's residual moves them together ([`super::block::record_mlp`]).
pub(super) fn record(
    recorder: &mut Recorder<'_>,
    forward: &Forward<'_>,
    tokens: Tokens,
    condensation: &Condensation,
    selection: &mut Selection,
) -> Result<Tokens> {
    if let Reducer::Random { seed } = condensation.reducer {
        selection.score = baselines::random_score(recorder.context(), selection, seed, tokens.images)?;
    }
    let Some(buffers) = selection.own.as_ref().or(forward.workspace.condense.as_ref()) else { return Ok(tokens) };
    let step = Step { forward, tokens: &tokens, condensation, buffers, selection };
    let decision = decide(recorder, &step)?;
    if let Some(listing) = decision.listing {
        step.select(recorder, listing)?;
    }
    step.assign(recorder, &decision)?;
    let fused_sizes = forward.workspace.other_sizes(&tokens.sizes);
    step.fuse(recorder, decision.fusion, fused_sizes)?;
    let connectivity = decision.connectivity.cloned();
    let (sizes, rows) = (fused_sizes.clone(), Some(buffers.remaining.clone()));
    let patches = selection.patches - selection.dropped;
    selection.connectivity = connectivity.filter(|_| selection.own.is_some());
    Ok(Tokens { sizes, rows, patches, ..tokens })
}

/// Records the reducer's score, and returns the steps that follow.
fn decide<'a>(recorder: &mut Recorder<'_>, step: &Step<'a>) -> Result<Decision<'a>> {
    match step.condensation.reducer {
        Reducer::Connectivity => connected::decide(recorder, step),
        Reducer::Tome => baselines::tome(recorder, step),
        Reducer::Evit => baselines::evit(recorder, step),
        Reducer::Prune => baselines::prune(recorder, step),
        // Its score was uploaded when the session opened.
        Reducer::Random { .. } => Ok(Decision::PRUNE),
    }
}

impl Decision<'_> {
    /// Dropped tokens are pruned; kept ones do not change.
    const PRUNE: Self =
        Self { listing: Some(Listing::Ascending), matching: Matching::None, fusion: Fusion::None, connectivity: None };
}

impl Step<'_> {
    fn images(&self) -> u32 {
        self.tokens.images as u32
    }

    /// Records dominance D.
    fn dominance(&self, recorder: &mut Recorder<'_>, result: &wgpu::Buffer) -> Result<()> {
        attention::record_dominance(recorder, self.forward, self.tokens, result)
    }

    /// Records the cosines of head-averaged keys.
    fn key_cosine(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        let config = self.forward.config();
        let width4 = (config.width / 4) as u32;
        let params = key_mean::Params {
            images: self.images(),
            tokens: self.tokens.count() as u32,
            prefix: config.prefix() as u32,
            heads: config.heads as u32,
            row4: 3 * width4,
            key_offset4: width4,
            head4: (config.head_width() / 4) as u32,
        };
        self.cosine(recorder, self.forward.precision(), params, &self.forward.workspace.qkv)
    }

    /// Records the cosines of tokens, after attention's residual.
    fn token_cosine(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        let config = self.forward.config();
        let width4 = (config.width / 4) as u32;
        let params = key_mean::Params {
            images: self.images(),
            tokens: self.tokens.count() as u32,
            prefix: config.prefix() as u32,
            // A token counts as a single key.
            heads: 1,
            row4: width4,
            key_offset4: 0,
            head4: width4,
        };
        self.cosine(recorder, Precision::F32, params, &self.tokens.stream)
    }

    fn cosine(
        &self,
        recorder: &mut Recorder<'_>,
        input: Precision,
        params: key_mean::Params,
        x: &wgpu::Buffer,
    ) -> Result<()> {
        let context = recorder.context();
        let CondenseBuffers { keys, cosine, .. } = self.buffers;
        let (patches, width) = (self.tokens.patches, params.head4 as usize * 4);
        // Unit keys are stored in the type that the way of their products reads.
        let (way, products) = cosines::way(context, [self.tokens.images, patches, width], self.forward.precision())?;
        let call = key_mean::Call { params, types: Types::new(input, products.types.input) };
        let bindings = key_mean::Bindings { qkv: x, keys };
        key_mean::record(recorder, ways::choose(context, &call)?, call, bindings)?;
        let bindings = query_key::Bindings { x: keys, sizes: &self.tokens.sizes, y: cosine };
        query_key::record(recorder, way, products, bindings)
    }

    /// Records the selection of the kept tokens.
    fn select(&self, recorder: &mut Recorder<'_>, listing: Listing) -> Result<()> {
        let Selection { patches, dropped, score, order, slot, .. } = self.selection;
        let params = top_k::Params::new(*patches, patches - dropped);
        let call = top_k::Call { params, images: self.images(), listing };
        let way = ways::choose(recorder.context(), &call)?;
        top_k::record(recorder, way, call, top_k::Bindings { score, order, slot })
    }

    /// Records the kept token into which each dropped one is fused, and the weights that the fusion needs.
    fn assign(&self, recorder: &mut Recorder<'_>, decision: &Decision<'_>) -> Result<()> {
        let Selection { patches, dropped, score, order, slot, assigned, .. } = self.selection;
        let CondenseBuffers { rows, connection, diagonal, .. } = self.buffers;
        let (n, r, images) = (*patches as u32, *dropped as u32, self.images());
        let (matrix, layout, chain, candidates) = match decision.matching {
            Matching::None => return Ok(()),
            Matching::LowestScore => {
                let params = assign_lowest::Params { patches: n, dropped: r };
                let bindings = assign_lowest::Bindings { score, order, assigned, connection, diagonal };
                return assign_lowest::record(recorder, params, images, bindings);
            }
            Matching::Row { matrix, layout, chain, candidates } => (matrix, layout, chain, candidates),
        };
        let rows = match (chain.order, chain.newton_steps) {
            (1, None) => Rows::First(matrix),
            (2, None) => Rows::Second(matrix),
            _ => {
                let params = connectivity::Params::listed(*patches, *dropped, *patches, patches - dropped, chain);
                let bindings = connectivity::Bindings { w: matrix, list: order, result: rows };
                connectivity::record(recorder, params, images, Part::Rows, bindings)?;
                Rows::Made(rows)
            }
        };
        let mut params = assign::Params::new(*patches, *dropped, chain);
        if !matches!(rows, Rows::Made(_)) {
            params = params.laid_out(layout);
        }
        let weighs = decision.fusion == Fusion::Connectivity;
        let bindings = assign::Bindings { rows, order, slot, assigned, connection, diagonal };
        let call = assign::Call { params, images, candidates, diagonal: weighs, order: rows.order() };
        assign::record(recorder, ways::choose(recorder.context(), &call)?, call, bindings)?;

        if weighs && matches!(rows, Rows::Made(_)) {
            let params = connectivity::Params::listed(*patches, *dropped, *dropped, 0, chain);
            let bindings = connectivity::Bindings { w: matrix, list: assigned, result: diagonal };
            connectivity::record(recorder, params, images, Part::Diagonal, bindings)?;
        }
        Ok(())
    }

    /// Records the fusion: the remaining tokens, the rows at which they lie, and their sizes.
    fn fuse(&self, recorder: &mut Recorder<'_>, fusion: Fusion, fused_sizes: &wgpu::Buffer) -> Result<()> {
        let config = self.forward.config();
        let params = fuse::Params {
            images: self.images(),
            prefix: config.prefix() as u32,
            patches: self.selection.patches as u32,
            dropped: self.selection.dropped as u32,
            width4: (config.width / 4) as u32,
        };
        let bindings = fuse::Bindings {
            tokens: &self.tokens.stream,
            sizes: &self.tokens.sizes,
            order: &self.selection.order,
            assigned: &self.selection.assigned,
            connection: &self.buffers.connection,
            diagonal: &self.buffers.diagonal,
            fused_sizes,
            rows: &self.buffers.remaining,
        };
        let call = fuse::Call { params, fusion };
        fuse::record(recorder, ways::choose(recorder.context(), &call)?, call, bindings)
    }
}
