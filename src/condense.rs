//! Between attention and MLP: which tokens go, and into which they are fused (DESIGN section 2). In order: the reducer's
//! score, selection, matching, fusion. Reducers differ in what [`decide`] returns; the rest they share.

use crate::attention;
use crate::condensation::{Chain, Condensation, Reducer};
use crate::doctor::AssignUse;
use crate::error::Result;
use crate::forward::Stage;
use crate::gpu::{Home, Matrix, Precision, Recorder, Types};
use crate::kernels::assign::{self, Candidates, Rows};
use crate::kernels::attention_powers::Layout;
use crate::kernels::connectivity::{self, Part};
use crate::kernels::fuse::{self, Fusion};
use crate::kernels::query_key::{self, Products, cooperative};
use crate::kernels::top_k::{self, Listing};
use crate::kernels::{assign_lowest, key_mean};
use crate::tune::{self, Cosines};
use crate::workspace::{CondenseBuffers, Selection};

mod baselines;
mod connected;
mod dense;

pub use dense::connectivity_matrix;

/// One block's condensation while it is recorded.
struct Step<'a> {
    stage: &'a Stage<'a>,
    condensation: &'a Condensation,
    buffers: &'a CondenseBuffers,
    selection: &'a Selection,
}

/// What is left to do once tokens have scores.
struct Decision<'a> {
    /// The order in which the kept tokens go on; `None` where they are selected already.
    listing: Option<Listing>,
    /// Where the dropped tokens go.
    matching: Matching<'a>,
    /// How the members of a group count.
    fusion: Fusion,
    /// W, where there is one.
    connectivity: Option<&'a wgpu::Buffer>,
}

/// Where dropped tokens go.
enum Matching<'a> {
    /// Nowhere.
    None,
    /// To the kept candidate with the largest element in the token's row of what `chain` makes of `matrix` [B, N, N],
    /// which lies as `layout` says.
    Row { matrix: Matrix<'a>, layout: Layout, chain: Chain, candidates: Candidates },
    /// All to the kept token of the lowest score.
    LowestScore,
}

/// Records the condensation of one block. Tokens that go on stay where they are, among those that were dropped, until the
/// MLP's residual moves them together ([`crate::block::record_mlp`]).
pub(crate) fn record(
    recorder: &mut Recorder<'_>,
    stage: &mut Stage<'_>,
    condensation: &Condensation,
    selection: &mut Selection,
) -> Result<()> {
    if let Reducer::Random { seed } = condensation.reducer {
        selection.score = baselines::random_score(recorder.context(), selection, seed, stage.images)?;
    }
    let workspace = stage.workspace;
    let Some(buffers) = selection.own.as_ref().or(workspace.condense.as_ref()) else { return Ok(()) };
    let step = Step { stage, condensation, buffers, selection };
    let decision = decide(recorder, &step)?;
    if let Some(listing) = decision.listing {
        step.select(recorder, listing)?;
    }
    step.assign(recorder, &decision)?;
    step.fuse(recorder, decision.fusion)?;
    let connectivity = decision.connectivity.cloned();
    selection.connectivity = connectivity.filter(|_| selection.own.is_some());
    stage.scattered = true;
    stage.patches = selection.patches - selection.dropped;
    Ok(())
}

/// Records the score by the reducer, and says what follows from it.
fn decide<'a>(recorder: &mut Recorder<'_>, step: &Step<'a>) -> Result<Decision<'a>> {
    match step.condensation.reducer {
        Reducer::Connectivity => connected::decide(recorder, step),
        Reducer::Tome => baselines::tome(recorder, step),
        Reducer::Evit => baselines::evit(recorder, step),
        Reducer::Prune => baselines::prune(recorder, step),
        // Its score was made when the session was.
        Reducer::Random { .. } => Ok(Decision::PRUNE),
    }
}

impl Decision<'_> {
    /// Dropped tokens vanish, kept ones stay as they are.
    const PRUNE: Self =
        Self { listing: Some(Listing::Ascending), matching: Matching::None, fusion: Fusion::None, connectivity: None };
}

impl Step<'_> {
    fn images(&self) -> u32 {
        self.stage.images as u32
    }

    /// Records D.
    fn dominance(&self, recorder: &mut Recorder<'_>, result: &wgpu::Buffer) -> Result<()> {
        attention::record_dominance(recorder, self.stage, result)
    }

    /// Records the cosines of head-averaged keys.
    fn key_cosine(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        let (config, width4) = (self.stage.config(), (self.stage.config().width / 4) as u32);
        let params = key_mean::Params {
            images: self.images(),
            tokens: self.stage.tokens() as u32,
            prefix: config.prefix() as u32,
            heads: config.heads as u32,
            row4: 3 * width4,
            key_offset4: width4,
            head4: (config.head_width() / 4) as u32,
        };
        self.cosine(recorder, self.stage.precision(), params, &self.stage.workspace.qkv)
    }

    /// Records the cosines of tokens, after attention's residual.
    fn token_cosine(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        let (config, width4) = (self.stage.config(), (self.stage.config().width / 4) as u32);
        let params = key_mean::Params {
            images: self.images(),
            tokens: self.stage.tokens() as u32,
            prefix: config.prefix() as u32,
            // A token is its one key.
            heads: 1,
            row4: width4,
            key_offset4: 0,
            head4: width4,
        };
        self.cosine(recorder, Precision::F32, params, self.stage.stream())
    }

    fn cosine(
        &self,
        recorder: &mut Recorder<'_>,
        input: Precision,
        params: key_mean::Params,
        x: &wgpu::Buffer,
    ) -> Result<()> {
        let (patches, head4) = (self.stage.patches as u32, params.head4);
        let CondenseBuffers { keys, cosine, .. } = self.buffers;
        let size = [self.stage.patches, head4 as usize * 4];
        let keys = keys.matrix();
        let way = tune::of_cosines(recorder.context(), size, self.stage.precision(), keys.home());
        let output = if way == Cosines::Cooperative { Precision::F16 } else { Precision::F32 };
        let variant = tune::way(recorder.context(), &["key_mean"]);
        let types = Types::new(input, output);
        key_mean::record(recorder, variant, types, params, key_mean::Bindings { qkv: x, keys })?;
        let variant = match way {
            Cosines::Of(variant) => variant,
            Cosines::Cooperative => {
                let params = cooperative::Params { tokens: patches, inner8: head4 / 2, images: self.images() };
                let x = keys.buffer(cooperative::KERNEL.name)?;
                return cooperative::record(recorder, params, cooperative::Bindings { x, y: cosine });
            }
        };
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
        let bindings = query_key::Bindings { x: keys, sizes: self.stage.sizes(), y: cosine };
        query_key::record(recorder, variant, Types::default(), params, self.images(), Products::Cosines, bindings)
    }

    /// Records which tokens stay.
    fn select(&self, recorder: &mut Recorder<'_>, listing: Listing) -> Result<()> {
        let Selection { patches, dropped, score, order, slot, .. } = self.selection;
        let params = top_k::Params::new(*patches, patches - dropped);
        let variant = tune::way(recorder.context(), &["top_k"]);
        top_k::record(recorder, variant, params, self.images(), listing, top_k::Bindings { score, order, slot })
    }

    /// Records which kept token each dropped one goes to, and the weights that fusion needs.
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
                let w = matrix.buffer(connectivity::KERNEL.name)?;
                let bindings = connectivity::Bindings { w, list: order, result: rows };
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
        let used = AssignUse {
            order: match rows {
                Rows::Made(_) => 0,
                Rows::First(_) => 1,
                Rows::Second(_) => 2,
            },
            home: if let Rows::Made(_) = rows { Home::Buffer } else { matrix.home() },
            aligned: params.stride.is_multiple_of(4),
            candidates,
            weighs,
        };
        let variant = tune::of_matching(recorder.context(), used, *dropped);
        assign::record(recorder, variant, params, images, candidates, weighs, bindings)?;

        if weighs && matches!(rows, Rows::Made(_)) {
            let params = connectivity::Params::listed(*patches, *dropped, *dropped, 0, chain);
            let w = matrix.buffer(connectivity::KERNEL.name)?;
            let bindings = connectivity::Bindings { w, list: assigned, result: diagonal };
            connectivity::record(recorder, params, images, Part::Diagonal, bindings)?;
        }
        Ok(())
    }

    /// Records what the tokens that go on become, where they lie, and their sizes.
    fn fuse(&self, recorder: &mut Recorder<'_>, fusion: Fusion) -> Result<()> {
        let (config, workspace, next) = (self.stage.config(), self.stage.workspace, 1 - self.stage.current);
        let params = fuse::Params {
            images: self.images(),
            prefix: config.prefix() as u32,
            patches: self.selection.patches as u32,
            dropped: self.selection.dropped as u32,
            width4: (config.width / 4) as u32,
        };
        let bindings = fuse::Bindings {
            tokens: self.stage.stream(),
            sizes: self.stage.sizes(),
            order: &self.selection.order,
            assigned: &self.selection.assigned,
            connection: &self.buffers.connection,
            diagonal: &self.buffers.diagonal,
            fused_sizes: &workspace.sizes[next],
            rows: &self.buffers.remaining,
        };
        fuse::record(recorder, params, fusion, bindings)
    }
}
