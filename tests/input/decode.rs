//! Decoding of files and bytes that are images, are damaged, or are not images.

use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Pixel, Rgb, RgbImage, Rgba};
use proptest::prelude::*;
use tcvit::Error;
use tcvit::low_level::input::{decode_image, open_image};

use crate::pattern;

const FORMATS: [ImageFormat; 6] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Tiff];

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let (image, mut bytes) = (image.into(), Vec::new());
    // The GIF encoder needs alpha.
    let image = if format == ImageFormat::Gif { image.into_rgba8().into() } else { image };
    image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

fn png<P>(pixels: &[P]) -> Vec<u8>
where
    P: Pixel + Copy + image::PixelWithColorType,
    DynamicImage: From<ImageBuffer<P, Vec<P::Subpixel>>>,
{
    encode(ImageBuffer::from_fn(pixels.len() as u32, 1, |x, _| pixels[x as usize]), ImageFormat::Png)
}

/// A PNG file of `chunks`, with their checksums.
fn png_of_chunks(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in chunks {
        let named = [kind.as_slice(), data].concat();
        let crc = named.iter().fold(!0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
        });
        bytes.extend((data.len() as u32).to_be_bytes());
        bytes.extend(named);
        bytes.extend((!crc).to_be_bytes());
    }
    bytes
}

fn png_header(width: u32, height: u32, bits: u8, kind: u8) -> Vec<u8> {
    [&width.to_be_bytes()[..], &height.to_be_bytes(), &[bits, kind, 0, 0, 0]].concat()
}

fn row(image: &RgbImage) -> Vec<[u8; 3]> {
    image.pixels().map(|pixel| pixel.0).collect()
}

#[test]
fn every_format_decodes_by_content_whatever_its_name() {
    let image = pattern(23, 17);
    for format in FORMATS {
        let decoded = decode_image(&encode(image.clone(), format), "photo.txt").unwrap();
        assert_eq!(decoded.dimensions(), (23, 17), "{format:?}");
        if !matches!(format, ImageFormat::Jpeg | ImageFormat::Gif) {
            assert_eq!(decoded, image, "{format:?}");
        }
        assert_eq!(decode_image(&encode(pattern(1, 1), format), "one pixel").unwrap().dimensions(), (1, 1));
    }
}

#[test]
fn grey_alpha_and_16_bits_become_rgb() {
    let decode = |bytes: Vec<u8>| row(&decode_image(&bytes, "test").unwrap());
    assert_eq!(decode(png(&[Luma([7u8]), Luma([250])])), [[7; 3], [250; 3]]);
    // Alpha is dropped, not blended, as in Pillow's convert("RGB").
    assert_eq!(decode(png(&[LumaA([200u8, 0]), LumaA([10, 128])])), [[200; 3], [10; 3]]);
    assert_eq!(decode(png(&[Rgba([200u8, 100, 50, 0]), Rgba([10, 20, 30, 128])])), [[200, 100, 50], [10, 20, 30]]);
    // v / 257, rounded.
    let deep = [0u16, 128, 129, 257 * 7, 32_768, 65_535];
    let shallow = [0u8, 0, 1, 7, 128, 255];
    assert_eq!(decode(png(&deep.map(|v| Luma([v])))), shallow.map(|v| [v; 3]));
    assert_eq!(decode(png(&deep.map(|v| Rgb([v, v, 0])))), shallow.map(|v| [v, v, 0]));
    assert_eq!(decode(png(&deep.map(|v| Rgba([v, 0, v, 9])))), shallow.map(|v| [v, 0, v]));
}

#[test]
fn a_palette_is_looked_up_transparent_or_not() {
    // Four pixels of 2 bits, compressed by Pillow: deflate of a filter byte and 0b00_01_10_11.
    let header = png_header(4, 1, 2, 3);
    let palette = [10, 20, 30, 200, 100, 50, 255, 0, 0, 1, 2, 3];
    let data = [120, 156, 99, 144, 6, 0, 0, 29, 0, 28];
    let colours = [[10, 20, 30], [200, 100, 50], [255, 0, 0], [1, 2, 3]];
    let opaque = png_of_chunks(&[(b"IHDR", &header), (b"PLTE", &palette), (b"IDAT", &data), (b"IEND", &[])]);
    let alpha: (&[u8; 4], &[u8]) = (b"tRNS", &[255, 0]);
    let clear = png_of_chunks(&[(b"IHDR", &header), (b"PLTE", &palette), alpha, (b"IDAT", &data), (b"IEND", &[])]);
    let gif = b"GIF89a\x04\0\x01\0\x81\0\0\x0a\x14\x1e\xc8\x64\x32\xff\0\0\x01\x02\x03\x21\xf9\x04\x01\0\0\x01\0\
        \x2c\0\0\0\0\x04\0\x01\0\0\x08\x07\0\x01\x04\x10\x30\x20\x20\0\x3b";
    for (name, bytes) in [("opaque", opaque.as_slice()), ("clear", &clear), ("gif", gif)] {
        assert_eq!(row(&decode_image(bytes, name).unwrap()), colours, "{name}");
    }
}

fn refused(bytes: &[u8], name: &str) -> String {
    let error = decode_image(bytes, name).unwrap_err();
    assert!(matches!(error, Error::Image { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn what_is_no_image_is_refused() {
    assert_eq!(
        refused(b"", "a.png"),
        "decode a.png: expected a JPEG, PNG, WebP, BMP, GIF or TIFF image, got an empty file"
    );
    assert!(refused(b"hello, world", "a.jpg").ends_with("got 12 bytes of something else"));
    assert!(refused(&[0; 1000], "zeros").ends_with("got 1000 bytes of something else"));
    // A known format whose decoder is not built in.
    assert!(refused(b"qoif\0\0\0\x01\0\0\0\x01\x03\0", "a.qoi").contains("expected a JPEG, PNG"));
}

#[test]
fn an_image_cut_short_anywhere_is_refused_or_whole() {
    for format in FORMATS {
        let bytes = encode(pattern(23, 17), format);
        let whole = decode_image(&bytes, "whole").unwrap();
        for length in 0..bytes.len() {
            match decode_image(&bytes[..length], "cut") {
                Err(error) => assert!(matches!(error, Error::Image { .. }), "{error:?}"),
                // Only data after the pixels was missing.
                Ok(image) => assert!(image == whole && format != ImageFormat::Jpeg, "{format:?} cut at {length}"),
            }
        }
    }
}

#[test]
fn a_photograph_cut_short_is_refused_and_one_with_more_behind_it_is_not() {
    let photo = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/crates/cli/assets/photos/chelsea.jpg")).unwrap();
    for length in [3, 20, 700, 5000, photo.len() / 2, photo.len() - 3, photo.len() - 1] {
        let error = refused(&photo[..length], "cat.jpg");
        assert!(error.contains(&format!("a whole JPEG image, got {length} bytes")), "{error}");
    }
    let longer = [photo.as_slice(), b"\0\0trailing"].concat();
    assert_eq!(decode_image(&longer, "longer").unwrap(), decode_image(&photo, "cat.jpg").unwrap());
}

#[test]
fn sizes_past_the_limits_are_refused_before_they_are_allocated() {
    let claims = |width, height, bits, kind| {
        png_of_chunks(&[(b"IHDR", &png_header(width, height, bits, kind)), (b"IDAT", &[0; 4]), (b"IEND", &[])])
    };
    assert!(refused(&claims(16_385, 1, 8, 2), "wide").contains("at most 16384 pixels along a side"));
    assert!(refused(&claims(1, 1 << 30, 8, 2), "tall").contains("at most 16384 pixels along a side"));
    assert!(refused(&claims(16_384, 16_384, 16, 6), "deep").contains("1073741824 bytes decoded"));
    assert!(!refused(&claims(0, 5, 8, 2), "none").is_empty());
    let gif = b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
    assert!(refused(gif, "gif").contains("at most 16384 pixels"));
    assert_eq!(decode_image(&encode(RgbImage::new(16_384, 1), ImageFormat::Png), "edge").unwrap().width(), 16_384);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("missing.jpg"), folder.path().to_owned()] {
        let error = open_image(&path).unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    let empty = folder.path().join("empty.jpg");
    std::fs::write(&empty, b"").unwrap();
    assert!(open_image(&empty).unwrap_err().to_string().ends_with("got an empty file"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_an_error_or_another_image(
        format in proptest::sample::select(FORMATS.as_slice()),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = encode(pattern(19, 11), format);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(image) = decode_image(&bytes, "damaged") {
            prop_assert!(image.width() > 0 && image.height() > 0);
        }
    }

    #[test]
    fn noise_is_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode_image(&bytes, "noise").is_err());
    }
}
