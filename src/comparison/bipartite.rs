//! Comparison of `condense/bipartite.wgsl`, with either parity first. Scores are chosen from the cosines, so there is
//! no tolerance.

use super::data::unset;
use super::{Check, Difference, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::bipartite::{Bindings, KERNEL, Params, record};
use crate::random::Random;
use crate::reference::bipartite::bipartite;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "images, patches",
    sizes: &[&[1, 1], &[3, 7], &[2, 64], &[1, 196]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches] = dimensions(size)?;
    let cosine = Random::named("bipartite", seed).tensor(images * patches * patches, 0.0, 1.0);
    let buffer = upload(context, "cosine", &cosine)?;
    let mut worst = Difference::NONE;
    for first in [0, 1] {
        let score = unset(context, "score", images * patches)?;
        let params = Params { images: images as u32, patches: patches as u32, first };
        execute(context, |recorder| record(recorder, params, Bindings { cosine: &buffer, score: &score }))?;
        let got: Vec<f32> = download_async(context, &score, images * patches).await?;
        worst = worst.worse(Difference::of_floats(&got, &bipartite(&cosine, &params), 0.0));
    }
    Ok(worst)
}
