//! Images to pixels: the bytes equal Pillow's, and no image or option causes a panic.

mod decode;
mod pillow;

use image::{GenericImageView, Rgb, RgbImage};
use proptest::prelude::*;
use tcvit::Error;
use tcvit::low_level::input::{Filter, Preprocess};

pub const FILTERS: [Filter; 6] =
    [Filter::Nearest, Filter::Box, Filter::Bilinear, Filter::Hamming, Filter::Bicubic, Filter::Lanczos];

/// An image whose bytes depend on their position.
pub fn pattern(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7 + y * 13) as u8, (x ^ y) as u8, (x * y / 3) as u8]))
}

#[test]
fn pixels_are_the_bytes_normalised_plane_by_plane() {
    let preprocess = Preprocess { mean: [0.5, 0.25, 0.0], std: [0.5, 1.0, 2.0], ..Preprocess::imagenet(5) };
    let photo = pattern(17, 12);
    let square = preprocess.crop_resized(&photo).unwrap();
    let pixels = preprocess.pixels(&photo).unwrap();
    assert_eq!(pixels.len(), 3 * 5 * 5);
    for (x, y, pixel) in square.enumerate_pixels() {
        for channel in 0..3 {
            let expected = (f32::from(pixel[channel]) / 255.0 - preprocess.mean[channel]) / preprocess.std[channel];
            assert_eq!(pixels[(channel * 5 + y as usize) * 5 + x as usize], expected, "{x} {y} {channel}");
        }
    }
}

#[test]
fn a_batch_is_its_images_one_after_the_other() {
    let preprocess = Preprocess::imagenet(8);
    let images: Vec<RgbImage> = (1..=7).map(|n| pattern(9 * n, 40 - n)).collect();
    let expected: Vec<f32> = images.iter().flat_map(|image| preprocess.pixels(image).unwrap()).collect();
    assert_eq!(preprocess.pixels_batch(&images).unwrap(), expected);
    assert!(preprocess.pixels_batch::<RgbImage>(&[]).unwrap().is_empty());
    let mut broken = images;
    broken[4] = RgbImage::new(0, 0);
    let error = preprocess.pixels_batch(&broken).unwrap_err().to_string();
    assert_eq!(error, "prepare image 4 of the batch: expected 1 to 65535 pixels along each side, got 0 x 0");
}

#[test]
fn placement_maps_the_square_onto_the_photograph() {
    // torchvision resizes 640 x 427 to int(248 * 640 / 427) = 371 by 248 and cuts at round(73.5) = 74 and 12.
    let map = Preprocess::imagenet(224).placement(640, 427).unwrap();
    let (x, y) = (640.0 / 371.0, 427.0 / 248.0);
    for (point, expected) in [([0.0, 0.0], [74.0 * x, 12.0 * y]), ([224.0, 112.5], [298.0 * x, 124.5 * y])] {
        let got = map.transform_point2(point.into()).to_array();
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{point:?}: {got:?}, not {expected:?}");
    }
    // Without a crop, the square covers a whole square image.
    let map = Preprocess { crop: 1.0, ..Preprocess::imagenet(32) }.placement(320, 320).unwrap();
    assert_eq!(map.transform_point2([32.0, 32.0].into()).to_array(), [320.0, 320.0]);
}

#[test]
fn an_extreme_shape_costs_no_more_than_the_part_that_is_kept() {
    for (width, height) in [(1, 5000), (5000, 1), (1, 65_535), (65_535, 1)] {
        let photo = pattern(width, height);
        // Less than one source pixel fills the square, so pixels far from the middle do not contribute.
        let most = |length: u32| length.min(100 + length % 2);
        let (left, top) = ((width - most(width)) / 2, (height - most(height)) / 2);
        let middle = photo.view(left, top, most(width), most(height)).to_image();
        for filter in FILTERS {
            let preprocess = Preprocess { filter, ..Preprocess::imagenet(224) };
            let square = preprocess.crop_resized(&photo).unwrap();
            assert_eq!(square, preprocess.crop_resized(&middle).unwrap(), "{width} x {height} {filter}");
        }
    }
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    for (width, height) in [(0, 0), (0, 7), (7, 0), (65_536, 1), (1, 65_536)] {
        let error = Preprocess::imagenet(32).pixels(&RgbImage::new(width, height)).unwrap_err();
        assert!(matches!(error, Error::Image { .. }), "{error:?}");
        assert!(error.to_string().ends_with(&format!("got {width} x {height}")), "{error}");
    }
}

#[test]
fn options_that_make_no_sense_are_refused_by_name() {
    let good = Preprocess::imagenet(32);
    assert!(good.validate().is_ok());
    for (bad, part) in [
        (Preprocess { side: 0, ..good.clone() }, "a side of 1 to 16384 pixels, got 0"),
        (Preprocess { side: 16_385, ..good.clone() }, "got 16385"),
        (Preprocess { side: usize::MAX, ..good.clone() }, "a side of 1"),
        (Preprocess { crop: 0.0, ..good.clone() }, "a crop of"),
        (Preprocess { crop: 1.01, ..good.clone() }, "to 1, got 1.01"),
        (Preprocess { crop: 1e-6, ..good.clone() }, "a crop of 3.1e-5 to 1"),
        (Preprocess { crop: -1.0, ..good.clone() }, "a crop of"),
        (Preprocess { crop: f64::NAN, ..good.clone() }, "got NaN"),
        (Preprocess { mean: [0.0, f32::NAN, 0.0], ..good.clone() }, "a finite mean"),
        (Preprocess { std: [1.0, 0.0, 1.0], ..good.clone() }, "a finite std that is not 0"),
        (Preprocess { std: [1.0, 1.0, f32::INFINITY], ..good.clone() }, "a finite std"),
    ] {
        let error = bad.pixels(&pattern(3, 3)).unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error:?}");
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[test]
fn filters_go_by_their_names() {
    for filter in FILTERS {
        assert_eq!(filter.to_string().parse::<Filter>().unwrap(), filter);
    }
    assert_eq!("Bicubic".parse::<Filter>().unwrap(), Filter::Bicubic);
    let error = "cubic".parse::<Filter>().unwrap_err().to_string();
    assert!(error.contains("one of nearest, box, bilinear, hamming, bicubic, lanczos, got \"cubic\""), "{error}");
}

fn any_filter() -> impl Strategy<Value = Filter> {
    proptest::sample::select(FILTERS.as_slice())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_size_gives_the_right_number_of_finite_pixels(
        width in 1u32..300, height in 1u32..300, side in 1usize..70, crop in 0.05f64..=1.0, filter in any_filter(),
    ) {
        let preprocess = Preprocess { crop, filter, ..Preprocess::imagenet(side) };
        let pixels = preprocess.pixels(&pattern(width, height)).unwrap();
        prop_assert_eq!(pixels.len(), 3 * side * side);
        prop_assert!(pixels.iter().all(|pixel| pixel.abs() < 3.0));
    }

    #[test]
    fn one_colour_stays_that_colour(
        width in 1u32..200, height in 1u32..200, side in 1usize..40, colour: [u8; 3], filter in any_filter(),
    ) {
        let preprocess = Preprocess { filter, ..Preprocess::imagenet(side) };
        let square = preprocess.crop_resized(&RgbImage::from_pixel(width, height, Rgb(colour))).unwrap();
        prop_assert!(square.pixels().all(|pixel| pixel.0 == colour));
    }

    #[test]
    fn the_square_lies_within_the_photograph(
        width in 1u32..=65_535, height in 1u32..=65_535, side in 1usize..=16_384, crop in 0.05f64..=1.0,
    ) {
        let map = Preprocess { crop, ..Preprocess::imagenet(side) }.placement(width, height).unwrap();
        let size = [f64::from(width), f64::from(height)];
        let (first, last) = (map.translation.to_array(), map.transform_point2([side as f64; 2].into()).to_array());
        for axis in 0..2 {
            let rounding = 1e-9 * size[axis];
            prop_assert!(first[axis] >= 0.0 && last[axis] > first[axis] && last[axis] <= size[axis] + rounding);
        }
    }
}
