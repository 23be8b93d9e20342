use image::RgbImage;
use tcvit::low_level::gpu::empty;
use tcvit::low_level::input::{Filter, Photographs, Preprocess, open_image};
use tcvit::low_level::kernels::resample::{Bindings, record};

use crate::{bits, buffer, gpu, read, run, sweep};

const FILTERS: [Filter; 6] =
    [Filter::Nearest, Filter::Box, Filter::Bilinear, Filter::Hamming, Filter::Bicubic, Filter::Lanczos];

#[test]
fn agrees_at_every_small_size() {
    sweep("resample", (1..=6).flat_map(|width| (1..=6).map(move |height| [width, height, 1 + (width * height) % 11])));
}

#[test]
fn agrees_at_real_sizes_and_extreme_shapes() {
    sweep("resample", [[1, 500, 8], [500, 1, 8], [1000, 37, 16], [640, 427, 33], [63, 65, 64]]);
}

/// The pixels of `images` as the kernel computes them.
fn pixels_on_gpu(preprocess: &Preprocess, images: &[RgbImage]) -> Vec<f32> {
    let laid_out = Photographs::new(preprocess, images, 0, images.len()).unwrap();
    let mut bytes = vec![0; laid_out.words() * 4];
    laid_out.write(|at, run| bytes[at..at + run.len()].copy_from_slice(run));
    let batch = buffer(&bytes);
    let between = empty(gpu(), "between", laid_out.middle_words()).unwrap();
    let pixels = buffer(&vec![f32::NAN; images.len() * 3 * preprocess.side.pow(2)]);
    run(|recorder| {
        let first = Bindings { batch: &batch, source: &batch, out: &between };
        record(recorder, laid_out.params(0), first, laid_out.workgroups(0))?;
        let second = Bindings { batch: &batch, source: &between, out: &pixels };
        record(recorder, laid_out.params(1), second, laid_out.workgroups(1))
    });
    read(&pixels, images.len() * 3 * preprocess.side.pow(2))
}

/// The largest and the mean difference between pixels, in units of a byte.
fn bytes_apart(preprocess: &Preprocess, got: &[f32], expected: &[f32]) -> [f64; 2] {
    assert_eq!(got.len(), expected.len());
    let area = preprocess.side.pow(2);
    let apart = |(index, (a, b)): (usize, (&f32, &f32))| {
        f64::from((a - b).abs()) * f64::from(preprocess.std[index / area % 3].abs()) * 255.0
    };
    let apart: Vec<f64> = got.iter().zip(expected).enumerate().map(apart).collect();
    let most = apart.iter().fold(0.0, |most, &one| if one <= most { most } else { one });
    [most, apart.iter().sum::<f64>() / apart.len() as f64]
}

/// A pattern that every filter changes.
fn noise(width: u32, height: u32) -> RgbImage {
    let mut random = tcvit::low_level::random::Random::named("noise", u64::from(width * 31 + height));
    RgbImage::from_fn(width, height, |_, _| image::Rgb(std::array::from_fn(|_| random.bits() as u8)))
}

#[test]
fn photographs_give_the_pixels_that_the_processor_gives() {
    let photos = ["chelsea", "coffee", "rocket"]
        .map(|name| open_image(format!("crates/cli/assets/photos/{name}.jpg").as_ref()).unwrap())
        .to_vec();
    for (side, crop, squash, filter) in [
        (224, 0.9, false, Filter::Bicubic),
        (224, 1.0, true, Filter::Bicubic),
        (32, 1.0, false, Filter::Bicubic),
        (96, 0.875, false, Filter::Bilinear),
    ] {
        let preprocess = Preprocess { crop, squash, filter, ..Preprocess::imagenet(side) };
        let (got, expected) = (pixels_on_gpu(&preprocess, &photos), preprocess.pixels_batch(&photos).unwrap());
        let [most, mean] = bytes_apart(&preprocess, &got, &expected);
        println!("{side} {filter} crop {crop} squash {squash}: at most {most} / 255, mean {mean}");
        assert_eq!(bits(&got), bits(&expected), "{side} {filter}: {most} / 255 apart");
    }
    // Also tests that the comparison notices a shift by one pixel.
    let preprocess = Preprocess::imagenet(224);
    let mut shifted = pixels_on_gpu(&preprocess, &photos);
    shifted.rotate_right(1);
    assert!(bytes_apart(&preprocess, &shifted, &preprocess.pixels_batch(&photos).unwrap())[0] > 20.0);
}

/// Sizes from 1 x 1 to huge reductions, tall and wide, all in one batch, so that images differ in their windows and in
/// the order of the axes.
#[test]
fn odd_sizes_give_the_pixels_that_the_processor_gives() {
    let sizes = [(1, 1), (3, 5), (5, 3), (7, 900), (900, 7), (31, 33), (200, 61), (61, 200), (2500, 1800)];
    let images: Vec<RgbImage> = sizes.iter().map(|&(width, height)| noise(width, height)).collect();
    for filter in FILTERS {
        for (side, crop, squash) in [(17, 0.9, false), (17, 1.0, true), (4, 0.3, false)] {
            let preprocess = Preprocess { crop, squash, filter, ..Preprocess::imagenet(side) };
            let got = pixels_on_gpu(&preprocess, &images);
            let expected = preprocess.pixels_batch(&images).unwrap();
            let each = 3 * side * side;
            for (size, (got, expected)) in sizes.iter().zip(got.chunks(each).zip(expected.chunks(each))) {
                let [most, mean] = bytes_apart(&preprocess, got, expected);
                assert_eq!(bits(got), bits(expected), "{size:?} {filter} {side}: {most} / 255 apart, mean {mean}");
            }
        }
    }
}

/// A thread of the second pass over so tall an image adds tens of thousands of taps.
#[test]
fn the_largest_reduction_gives_the_pixels_that_the_processor_gives() {
    for (width, height) in [(40, 16_384), (16_384, 40), (1, 65_535)] {
        let preprocess = Preprocess { squash: true, crop: 1.0, ..Preprocess::imagenet(2) };
        let image = [noise(width, height)];
        let got = pixels_on_gpu(&preprocess, &image);
        assert_eq!(bits(&got), bits(&preprocess.pixels(&image[0]).unwrap()), "{width} x {height}");
    }
}

#[test]
fn only_the_pixels_that_the_crop_needs_are_sent() {
    let preprocess = Preprocess::imagenet(32);
    let words = |width, height| {
        let image = [RgbImage::new(width, height)];
        Photographs::new(&preprocess, &image, 0, 1).unwrap().words()
    };
    // The centre square of a panorama, with a margin for the filter.
    assert!(words(4000, 400) * 4 < 400 * 480 * 3, "{}", words(4000, 400));
    assert!(words(400, 4000) * 4 < 400 * 480 * 3, "{}", words(400, 4000));
    let text = Photographs::new(&preprocess, &[RgbImage::new(0, 3)], 5, 1).err().unwrap().to_string();
    assert!(text.contains("image 5 of the batch") && text.contains("0 x 3"), "{text}");
}
