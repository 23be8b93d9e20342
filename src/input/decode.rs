//! stub
use crate::error::{Error, Result};
use image::RgbImage;
use std::path::Path;
/// x
pub fn open_image(path: &Path) -> Result<RgbImage> {
    decode_image(&std::fs::read(path).map_err(|e| Error::file("open", "", e.to_string()))?, "x")
}
/// x
pub fn decode_image(bytes: &[u8], _name: &str) -> Result<RgbImage> {
    Ok(image::load_from_memory(bytes).map_err(|e| Error::image("decode", "", e.to_string()))?.into_rgb8())
}
