//! Comparison of `embed/resample.wgsl`: both passes, both orders of the axes and every filter. It also checks that no
//! other image of the batch changes. Results are integers and must be equal bit for bit.

use image::RgbImage;

use super::{Check, Difference, dimensions, download_async, execute, upload};
use crate::error::{Error, Result};
use crate::gpu::{Context, empty};
use crate::input::{Filter, Photographs, Preprocess};
use crate::kernels::resample::{Bindings, KERNEL, record};
use crate::random::Random;
use crate::reference::resample::resample;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "width, height, side",
    sizes: &[&[1, 1, 4], &[7, 5, 16], &[37, 300, 16], &[640, 427, 32]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

/// Images in the batch. The first one must not change.
const IMAGES: usize = 3;

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [width, height, side] = dimensions(size)?;
    let mut random = Random::named("resample", seed);
    // The second image has the sides of the first one exchanged.
    let photographs = [(width, height), (height, width)].map(|(width, height)| {
        let bytes = (0..width * height * 3).map(|_| random.bits() as u8).collect();
        RgbImage::from_raw(width as u32, height as u32, bytes)
    });
    let [Some(first), Some(second)] = photographs else {
        return Err(Error::config("check resample", "images of bytes", format!("{width} x {height}")));
    };
    let photographs = [first, second];
    let before: Vec<u32> = random.tensor(IMAGES * 3 * side * side, 0.0, 1.0).into_iter().map(f32::to_bits).collect();
    let mut worst = Difference::NONE;
    for (filter, crop, squash) in [
        (Filter::Bicubic, 0.9, false),
        (Filter::Bilinear, 0.5, true),
        (Filter::Lanczos, 1.0, false),
        (Filter::Nearest, 0.7, false),
    ] {
        let preprocess = Preprocess { crop, squash, filter, ..Preprocess::imagenet(side) };
        let laid_out = Photographs::new(&preprocess, &photographs, 1, IMAGES)?;
        let mut bytes = vec![0; laid_out.words() * 4];
        laid_out.write(|at, run| bytes[at..at + run.len()].copy_from_slice(run));
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(&bytes);
        let batch = upload(context, "photographs", &words)?;
        let between = empty(context, "resized once", laid_out.middle_words())?;
        let pixels = upload(context, "pixels", &before)?;
        execute(context, |recorder| {
            let first = Bindings { batch: &batch, source: &batch, out: &between };
            record(recorder, laid_out.params(0), first, laid_out.workgroups(0))?;
            let second = Bindings { batch: &batch, source: &between, out: &pixels };
            record(recorder, laid_out.params(1), second, laid_out.workgroups(1))
        })?;
        let mut middle = vec![0; laid_out.middle_words()];
        resample(&words, &words, &mut middle, &laid_out.params(0), photographs.len());
        let mut expected = before.clone();
        resample(&words, &middle, &mut expected, &laid_out.params(1), photographs.len());
        let got: Vec<u32> = download_async(context, &between, middle.len()).await?;
        worst = worst.worse(Difference::of_indices(&got, &middle));
        let got: Vec<u32> = download_async(context, &pixels, expected.len()).await?;
        worst = worst.worse(Difference::of_indices(&got, &expected));
    }
    Ok(worst)
}
