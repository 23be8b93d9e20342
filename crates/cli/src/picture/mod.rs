//! Writes pictures to files, as SVG or as PNG drawn from an SVG, for every subcommand that draws.

pub mod colours;
mod raster;
pub mod svg;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use tcvit::low_level::file::write_whole;
use tcvit::{Error, Result};

pub use svg::{Anchor, Svg, Text};

use crate::options::OutputFile;

/// PNG pixels for each unit of an SVG. With 2, pictures are sharp on screens of high density and in print.
pub const SCALE: u32 = 2;

/// A file format, chosen by the file name's extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Png,
    Svg,
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("png") => Ok(Self::Png),
            Some("svg") => Ok(Self::Svg),
            other => Err(Error::config(
                "picture file",
                "a name that ends in .png or .svg",
                other.map_or_else(|| "no extension".into(), |other| format!(".{other}")),
            )),
        }
    }
}

/// The name of a picture file to write, in a folder that exists.
#[derive(Clone, Debug)]
pub struct PictureFile(pub PathBuf);

impl FromStr for PictureFile {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let OutputFile(path) = text.parse()?;
        Format::of(&path).map_err(|error| error.to_string())?;
        Ok(Self(path))
    }
}

/// Writes `svg` to `path`, as SVG or PNG by the extension, whole or not at all. Returns the file's width and height.
pub fn save(path: &Path, svg: Svg) -> Result<[u32; 2]> {
    let scale = if Format::of(path)? == Format::Png { SCALE } else { 1 };
    let size = svg.size();
    save_svg_text(path, &svg.finish())?;
    Ok([size.x as u32 * scale, size.y as u32 * scale])
}

/// Writes the SVG document `svg` to `path`, as SVG or PNG by the extension, whole or not at all.
pub fn save_svg_text(path: &Path, svg: &str) -> Result<()> {
    match Format::of(path)? {
        Format::Svg => write_whole(path, svg.as_bytes()),
        Format::Png => write_whole(path, &raster::png(svg)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_decides() {
        for (name, format) in [("a.png", Format::Png), ("b.d/A.PNG", Format::Png), ("a.png.svg", Format::Svg)] {
            assert_eq!(Format::of(Path::new(name)).unwrap(), format, "{name}");
        }
        for name in ["a", "a.jpg", ".png", "png", "a.svgz"] {
            assert!(Format::of(Path::new(name)).unwrap_err().to_string().contains(".png or .svg"), "{name}");
        }
    }
}
