//! Decodes images to bytes of red, green and blue, within limits on memory that a hostile file cannot exceed.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::{ImageFormat, ImageReader, Limits, RgbImage};

use crate::error::{Error, Result};

/// The longest side of an image that is decoded.
const MOST_SIDE: u32 = 16_384;
/// The most bytes of a file that is read, and of a decoded image before its conversion to 8 bits.
const MOST_BYTES: u64 = 1 << 30;

/// Reads and decodes an image file, as [`decode_image`].
///
/// # Errors
/// [`Error::File`] when the file cannot be read or has more than 1 GiB; otherwise as [`decode_image`].
pub fn open_image(path: &Path) -> Result<RgbImage> {
    let name = path.display().to_string();
    let failed = |error: std::io::Error| {
        Error::file("open image", format!("a readable {name}"), error.to_string()).caused_by(error)
    };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Error::file("open image", format!("at most {MOST_BYTES} bytes in {name}"), "more"));
    }
    decode_image(&bytes, &name)
}

/// Decodes JPEG, PNG, WebP, BMP, GIF (its first frame) or TIFF; `name` is for errors. Each format is a feature of this
/// crate: `jpeg`, `png`, `webp`, `bmp`, `gif`, `tiff`.
///
/// As in Pillow's `convert("RGB")`, grey is repeated in each channel, a palette is looked up, and alpha is dropped
/// without blending, so that the colour of a transparent pixel shows. As in timm, colour profiles and the EXIF
/// orientation are not applied. Unlike in Pillow, 16 bits per channel are rounded to the nearest 8-bit value (`v /
/// 257`), for grey as well.
///
/// # Errors
/// [`Error::Image`] when the bytes are empty, damaged, cut short or of another format, or when the feature of their
/// format was left out of this build (the error names it). Also for images without pixels, with more than 16,384 pixels
/// along a side, or with more than 1 GiB when decoded.
pub fn decode_image(bytes: &[u8], name: &str) -> Result<RgbImage> {
    const FORMATS: &str = "a JPEG, PNG, WebP, BMP, GIF or TIFF image";
    let op = format!("decode {name}");
    if bytes.is_empty() {
        return Err(Error::image(op, FORMATS, "an empty file"));
    }
    let Ok(format) = image::guess_format(bytes) else {
        return Err(Error::image(op, FORMATS, format!("{} bytes of something else", bytes.len())));
    };
    if let Some(feature) = feature(format).filter(|_| !format.reading_enabled()) {
        let expected = format!("a build of tcvit with the feature `{feature}`, which decodes such images");
        return Err(Error::image(op, expected, "one without it"));
    }
    if format == ImageFormat::Jpeg && !jpeg_ends(bytes) {
        return Err(Error::image(op, "a whole JPEG image", format!("{} bytes, its end is missing", bytes.len())));
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_SIDE);
    limits.max_image_height = Some(MOST_SIDE);
    limits.max_alloc = Some(MOST_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let image = reader.decode().map_err(|error| match error {
        image::ImageError::Limits(error) => Error::image(
            &op,
            format!("at most {MOST_SIDE} pixels along a side and {MOST_BYTES} bytes decoded"),
            error.to_string(),
        )
        .caused_by(error),
        other => Error::image(&op, format!("{FORMATS} that is whole"), other.to_string()).caused_by(other),
    })?;
    let image = image.into_rgb8();
    if image.width() == 0 || image.height() == 0 {
        return Err(Error::image(op, "at least one pixel", format!("{} x {}", image.width(), image.height())));
    }
    Ok(image)
}

/// The feature of this crate that decodes `format`.
fn feature(format: ImageFormat) -> Option<&'static str> {
    match format {
        ImageFormat::Jpeg => Some("jpeg"),
        ImageFormat::Png => Some("png"),
        ImageFormat::WebP => Some("webp"),
        ImageFormat::Bmp => Some("bmp"),
        ImageFormat::Gif => Some("gif"),
        ImageFormat::Tiff => Some("tiff"),
        _ => None,
    }
}

/// Whether a JPEG reaches its end marker. The decoder fills missing data with grey and reports nothing.
fn jpeg_ends(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        // Find the next marker: 0xFF, then neither 0 (which stands for a data byte 0xFF) nor another 0xFF.
        let Some(marker) = rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF)) else {
            return false;
        };
        let kind = rest[marker + 1];
        rest = &rest[marker + 2..];
        match kind {
            0xD9 => return true,
            // Markers without contents: start of image, restarts, and the reserved 1.
            0xD0..=0xD8 | 1 => {}
            _ => {
                let Some(&[high, low]) = rest.first_chunk() else { return false };
                let Some(after) = rest.get(usize::from(u16::from_be_bytes([high, low]))..) else { return false };
                rest = after;
            }
        }
    }
}
