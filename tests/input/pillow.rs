//! Comparison with Pillow 13. `scripts/goldens/pillow_sheet.py` and `scripts/goldens` write the expected images.

use std::path::{Path, PathBuf};

use image::{GenericImageView, RgbImage};
use tcvit::low_level::input::{Preprocess, open_image};

use crate::FILTERS;

/// The table of `scripts/goldens/pillow_sheet.py`: width, height and crop.
const TILE: u32 = 32;
const SOURCES: [(u32, u32, f64); 14] = [
    (1, 1, 1.0),
    (1, 9, 0.9),
    (9, 1, 0.9),
    (2, 150, 1.0),
    (150, 2, 0.875),
    (7, 5, 0.5),
    (31, 33, 1.0),
    (32, 32, 1.0),
    (32, 40, 1.0),
    (60, 224, 0.95),
    (224, 60, 0.95),
    (97, 101, 0.875),
    (224, 149, 0.3),
    (224, 224, 0.9),
];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

/// The number of bytes that differ, the largest difference, and the mean difference.
fn difference(a: &RgbImage, b: &RgbImage) -> (usize, u8, f64) {
    assert_eq!(a.dimensions(), b.dimensions());
    let apart: Vec<u8> = a.iter().zip(b.iter()).map(|(a, b)| a.abs_diff(*b)).collect();
    let sum: f64 = apart.iter().map(|&one| f64::from(one)).sum();
    (apart.iter().filter(|&&one| one > 0).count(), apart.iter().copied().max().unwrap(), sum / apart.len() as f64)
}

#[test]
fn every_filter_gives_pillows_bytes_for_every_shape() {
    let photo = open_image(&golden("pillow_chelsea_224.png")).unwrap();
    let sheet = open_image(&golden("pillow_sheet.png")).unwrap();
    assert_eq!(sheet.dimensions(), (FILTERS.len() as u32 * TILE, SOURCES.len() as u32 * TILE));
    for (row, (width, height, crop)) in (0..).zip(SOURCES) {
        for (column, filter) in (0..).zip(FILTERS) {
            let source = photo.view(0, 0, width, height).to_image();
            let preprocess = Preprocess { crop, filter, ..Preprocess::imagenet(TILE as usize) };
            let got = preprocess.crop_resized(&source).unwrap();
            let expected = sheet.view(column * TILE, row * TILE, TILE, TILE).to_image();
            let (count, most, _) = difference(&got, &expected);
            assert_eq!(count, 0, "{width} x {height}, crop {crop}, {filter}: {count} bytes differ, by up to {most}");
        }
    }
    // The comparison detects another filter, and a crop that is slightly off.
    let tile = |crop, filter| Preprocess { crop, filter, ..Preprocess::imagenet(32) }.crop_resized(&photo).unwrap();
    assert!(difference(&tile(0.9, FILTERS[4]), &tile(0.9, FILTERS[5])).0 > 1000);
    assert!(difference(&tile(0.9, FILTERS[4]), &tile(0.93, FILTERS[4])).0 > 1000);
}

/// From JPEG files, not all bytes are equal: the decoder here is not Pillow's libjpeg, and the standard does not fix
/// the rounding of the inverse transform. Resizing the same decoded bytes would give equal bytes.
#[test]
fn photographs_come_out_as_pillows_but_for_the_jpeg_decoder() {
    for (photo, side, crop) in
        [("chelsea", 224, 0.9), ("coffee", 224, 0.875), ("chelsea", 32, 1.0), ("rocket", 32, 1.0)]
    {
        let source =
            open_image(format!("{}/crates/cli/assets/photos/{photo}.jpg", env!("CARGO_MANIFEST_DIR")).as_ref())
                .unwrap();
        let got = Preprocess { crop, ..Preprocess::imagenet(side) }.crop_resized(&source).unwrap();
        let (count, most, mean) =
            difference(&got, &open_image(&golden(&format!("pillow_{photo}_{side}.png"))).unwrap());
        println!("{photo} {side}: {count} of {} bytes differ, by up to {most}, {mean:.3} on average", got.len());
        assert!(most <= 3 && mean <= 0.3, "{photo} {side}: by up to {most}, {mean} on average");
    }
}
