//! Comparison of `condense/similarity.wgsl`, by dot product and by distance, with tokens that are equal, nearly equal
//! and of length 0.

use super::data::{rounding, unset};
use super::{Check, Difference, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::similarity::{Bindings, KERNEL, Kind, Params, record};
use crate::random::Random;
use crate::reference::similarity::similarity;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "images, prefix, patches, width",
    sizes: &[&[1, 1, 1, 4], &[3, 2, 7, 20], &[2, 5, 65, 64], &[1, 1, 196, 192]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, prefix, patches, width] = dimensions(size)?;
    let width = width.next_multiple_of(4);
    let mut random = Random::named("similarity", seed);
    let mut x = random.tensor(images * (prefix + patches) * width, 0.0, 1.0);
    for image in x.chunks_exact_mut((prefix + patches) * width) {
        let tokens = &mut image[prefix * width..];
        for token in 0..patches / 8 {
            let (from, to) = (random.below(patches), random.below(patches));
            tokens.copy_within(from * width..(from + 1) * width, to * width);
            let copy = &mut tokens[to * width..(to + 1) * width];
            match token % 3 {
                0 => copy[0] += 1e-3,
                1 => copy.fill(0.0),
                _ => {}
            }
        }
    }
    let buffer = upload(context, "x", &x)?;
    let params = Params { prefix: prefix as u32, patches: patches as u32, width4: (width / 4) as u32 };
    let mut worst = Difference::NONE;
    for kind in [Kind::Dot, Kind::Distance] {
        let y = unset(context, "y", images * patches * patches)?;
        execute(context, |recorder| record(recorder, params, images as u32, kind, Bindings { x: &buffer, y: &y }))?;
        let got: Vec<f32> = download_async(context, &y, images * patches * patches).await?;
        let expected = similarity(&x, &params, kind);
        // The usual size of results for numbers between -1 and 1. A result with cancellation may be far smaller.
        let usual = match kind {
            Kind::Dot => (width as f64).sqrt() / 3.0,
            Kind::Distance => (2.0 * width as f64 / 3.0).sqrt(),
        };
        worst = worst.worse(Difference::of_floats_near(&got, &expected, usual, rounding(width)));
    }
    Ok(worst)
}
