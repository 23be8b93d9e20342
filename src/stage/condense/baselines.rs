//! The reducers with which connectivity is compared, on the same kernels. [`Reducer`](crate::condensation::Reducer)
//! describes each and names its source.

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
    // The two sets alternate over all tokens, the prefix included. `first` is the parity of the patch tokens of the
    // first set.
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

/// EViT: the tokens with the most class attention are kept, and the others are fused into one.
pub(super) fn evit<'a>(recorder: &mut Recorder<'_>, step: &Step<'a>) -> Result<Decision<'a>> {
    step.dominance(recorder, &step.selection.score)?;
    Ok(Decision { matching: Matching::LowestScore, fusion: Fusion::Sum, ..Decision::PRUNE })
}

/// The tokens with the most class attention are kept.
pub(super) fn prune<'a>(recorder: &mut Recorder<'_>, step: &Step<'a>) -> Result<Decision<'a>> {
    step.dominance(recorder, &step.selection.score)?;
    Ok(Decision::PRUNE)
}

/// Random scores [B, N], which depend only on seed and block. They are the same for every image, so that results do not
/// depend on how images are batched.
pub(super) fn random_score(context: &Context, selection: &Selection, seed: u64, images: usize) -> Result<wgpu::Buffer> {
    let name = format!("block.{}.random", selection.block);
    let score = Random::named(&name, seed).tensor(selection.patches, 0.0, 1.0);
    upload(context, &name, &score.repeat(images))
}
