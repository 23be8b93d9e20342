//! The reducers that connectivity is measured against, on the same kernels: see
//! [`Reducer`](crate::condensation::Reducer) for what each does and where it comes from.

use super::{Decision, Matching, Step};
use crate::condensation::Chain;
use crate::error::Result;
use crate::gpu::{Context, Recorder, upload};
use crate::kernels::assign::Candidates;
use crate::kernels::bipartite;
use crate::kernels::fuse::Fusion;
use crate::kernels::layout::Layout;
use crate::kernels::top_k::Listing;
use crate::random::Random;
use crate::workspace::Selection;

/// Bipartite soft matching.
pub(super) fn tome<'a>(recorder: &mut Recorder<'_>, step: &Step<'a>) -> Result<Decision<'a>> {
    step.key_cosine(recorder)?;
    // Sets alternate over all tokens: patch tokens of the first are those with an even place behind the prefix.
    let first = step.forward.config().prefix() as u32 % 2;
    let params = bipartite::Params { images: step.images(), patches: step.selection.patches as u32, first };
    let (cosine, layout) = (&step.buffers.cosine, Layout::packed(step.selection.patches));
    bipartite::record(recorder, params, bipartite::Bindings { cosine, score: &step.selection.score })?;
    Ok(Decision {
        listing: Some(Listing::ParityFirst(first)),
        matching: Matching::Row {
            matrix: cosine,
            layout,
            chain: Chain::IDENTITY,
            candidates: Candidates::Parity(1 - first),
        },
        fusion: Fusion::Size,
        connectivity: None,
    })
}

/// The most attended stay, the rest become one.
pub(super) fn evit<'a>(recorder: &mut Recorder<'_>, step: &Step<'a>) -> Result<Decision<'a>> {
    step.dominance(recorder, &step.selection.score)?;
    Ok(Decision { matching: Matching::LowestScore, fusion: Fusion::Sum, ..Decision::PRUNE })
}

/// The most attended stay.
pub(super) fn prune<'a>(recorder: &mut Recorder<'_>, step: &Step<'a>) -> Result<Decision<'a>> {
    step.dominance(recorder, &step.selection.score)?;
    Ok(Decision::PRUNE)
}

/// Scores [B, N] that nothing in the input decides: by seed and block, the same for every image, so that results do not
/// depend on how images are batched.
pub(super) fn random_score(context: &Context, selection: &Selection, seed: u64, images: usize) -> Result<wgpu::Buffer> {
    let name = format!("block.{}.random", selection.block);
    let score = Random::named(&name, seed).tensor(selection.patches, 0.0, 1.0);
    upload(context, &name, &score.repeat(images))
}
