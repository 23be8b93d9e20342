//! Comparison of `embed/assemble.wgsl`.

use super::data::{ULP, unset};
use super::{Check, Difference, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::assemble::{Bindings, KERNEL, Params, record};
use crate::random::Random;
use crate::reference::assemble::assemble;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "images, prefix, patches, width",
    sizes: &[&[1, 1, 1, 4], &[3, 2, 7, 20], &[2, 1, 196, 192], &[1, 5, 64, 384]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, prefix, patches, width] = dimensions(size)?;
    let width = width.next_multiple_of(4);
    let rows = images * (prefix + patches);
    let mut random = Random::named("assemble", seed);
    let projected = random.tensor(images * patches * width, 0.0, 1.0);
    let prefixes = random.tensor(prefix * width, 0.0, 1.0);
    let position = random.tensor(patches * width, 0.0, 1.0);
    let tokens = unset(context, "tokens", rows * width)?;
    let sizes = unset(context, "sizes", rows)?;
    let bindings = Bindings {
        projected: &upload(context, "projected", &projected)?,
        prefix: &upload(context, "prefix", &prefixes)?,
        position: &upload(context, "position", &position)?,
        tokens: &tokens,
        sizes: &sizes,
    };
    let params =
        Params { images: images as u32, prefix: prefix as u32, patches: patches as u32, width4: (width / 4) as u32 };
    execute(context, |recorder| record(recorder, params, bindings))?;
    let got: Vec<f32> = download_async(context, &tokens, rows * width).await?;
    let got_sizes: Vec<f32> = download_async(context, &sizes, rows).await?;
    // WGSL allows a single sum to round up or down.
    let tokens = Difference::of_floats(&got, &assemble(&projected, &prefixes, &position), ULP);
    Ok(tokens.worse(Difference::of_floats(&got_sizes, &vec![1.0; rows], 0.0)))
}
