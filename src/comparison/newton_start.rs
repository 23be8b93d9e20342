//! Comparison of `condense/newton_start.wgsl`, at the paper's a = 500 and a small a.

use super::chain::settle_diagonal;
use super::data::{UNIT, connectivity, unset};
use super::{Check, Difference, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::newton_start::{Bindings, KERNEL, Params, record};
use crate::random::Random;
use crate::reference::newton_start::newton_start;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "images, patches",
    sizes: &[&[1, 1], &[3, 7], &[2, 64], &[1, 196]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches] = dimensions(size)?;
    let elements = images * patches * patches;
    let mut worst = Difference::NONE;
    for alpha in [500.0, 0.5] {
        let mut w = connectivity(&mut Random::named("newton_start", seed), images, patches);
        settle_diagonal(&mut w, patches, alpha);
        let (a, start) = (unset(context, "a", elements)?, unset(context, "start", elements)?);
        let params = Params { images: images as u32, patches: patches as u32, alpha };
        let bindings = Bindings { w: &upload(context, "w", &w)?, a: &a, start: &start };
        execute(context, |recorder| record(recorder, params, bindings))?;
        let got_a: Vec<f32> = download_async(context, &a, elements).await?;
        let got_start: Vec<f32> = download_async(context, &start, elements).await?;
        let (expected_a, expected_start) = newton_start(&w, patches, alpha);
        // 1 - a w rounds twice, once at the size of a w, both in the kernel and in the reference. `settle_diagonal`
        // keeps it above a quarter, so that cancellation amplifies the error at most 9-fold. The division may add 5
        // units.
        worst = worst.worse(Difference::of_floats(&got_a, &expected_a, 4.0 * UNIT));
        worst = worst.worse(Difference::of_floats(&got_start, &expected_start, (2.0 * 9.0 + 6.0) * UNIT));
    }
    Ok(worst)
}
