//! Comparison of `embed/patchify.wgsl`, with rows as short as vec4s allow and with longer ones. Pixels are copied, so
//! the only tolerance is for the rounding to f16.

use super::data::{download_as, storing, unset};
use super::{Check, Difference, dimensions, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision};
use crate::kernels::patchify::{Bindings, KERNEL, Params, record};
use crate::random::Random;
use crate::reference::patchify::patchify;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "images, channels, down, across, patch",
    sizes: &[&[1, 3, 1, 1, 1], &[2, 3, 3, 2, 5], &[1, 3, 14, 14, 16], &[1, 64, 2, 4, 8]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, channels, down, across, patch] = dimensions(size)?;
    let (height, width) = (down * patch, across * patch);
    let pixels = Random::named("patchify", seed).tensor(images * channels * height * width, 0.0, 2.0);
    let pixels_buffer = upload(context, "pixels", &pixels)?;
    let shortest = (channels * patch * patch).next_multiple_of(4);
    let mut worst = Difference::NONE;
    let strides = [shortest, shortest + 4];
    for (stride, output) in strides.into_iter().flat_map(|stride| Precision::ALL.map(|output| (stride, output))) {
        let elements = images * down * across * stride;
        let params = Params {
            images: images as u32,
            channels: channels as u32,
            height: height as u32,
            width: width as u32,
            patch_side: patch as u32,
            stride4: (stride / 4) as u32,
        };
        let patches = unset(context, "patches", elements)?;
        let bindings = Bindings { pixels: &pixels_buffer, patches: &patches };
        execute(context, |recorder| record(recorder, output, params, bindings))?;
        let got = download_as(context, &patches, elements, output).await?;
        worst = worst.worse(Difference::of_floats(
            &got,
            &patchify(&pixels, channels, [height, width], patch, stride),
            storing(output),
        ));
    }
    Ok(worst)
}
