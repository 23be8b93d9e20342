//! Comparison of `head/token_max.wgsl`. If one token has NaN, the result must be NaN.

use super::data::UNIT;
use super::{Check, Difference, at_most, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::token_max::{Bindings, KERNEL, Params, record};
use crate::random::Random;
use crate::reference::token_max::token_max;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "images, patches, prefix, classes",
    sizes: &[&[1, 1, 1, 1], &[3, 7, 2, 10], &[2, 196, 1, 1000], &[1, 64, 5, 65]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches, prefix, classes] = dimensions(size)?;
    at_most("patches", patches, 1 << 16)?;
    let tokens = prefix + patches;
    let mut random = Random::named("token_max", seed);
    let mut x = random.tensor(images * tokens * classes, 0.0, 1.0);
    // The logits of prefix tokens are the largest, and they must not count.
    for image in x.chunks_exact_mut(tokens * classes) {
        image[..prefix * classes].fill(2.0);
    }
    let before = random.tensor(images * classes, 0.0, 1.0);
    let mut worst = Difference::NONE;
    for with_nan in [false, true] {
        if with_nan {
            let token = prefix + random.below(patches);
            x[token * classes + random.below(classes)] = f32::NAN;
        }
        let (x_buffer, y_buffer) = (upload(context, "x", &x)?, upload(context, "y", &before)?);
        let params = Params {
            images: images as u32,
            tokens: tokens as u32,
            prefix: prefix as u32,
            classes: classes as u32,
            share: 0.5,
        };
        execute(context, |recorder| record(recorder, params, Bindings { x: &x_buffer, y: &y_buffer }))?;
        let mut expected = before.clone();
        token_max(&x, tokens, prefix, classes, params.share, &mut expected);
        let got: Vec<f32> = download_async(context, &y_buffer, images * classes).await?;
        worst = worst.worse(Difference::of_floats_near(&got, &expected, 1.0, 2.0 * UNIT));
    }
    Ok(worst)
}
