//! Draws an SVG as PNG with fonts that are embedded in the program, so that a picture looks the same on every machine.

use std::sync::Arc;

use image::RgbImage;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{ImageRendering, Options, Tree, fontdb};
use tcvit::{Error, Result};

use super::{SCALE, svg};

/// The longest side of a picture, in pixels: 20,000 x 20,000 pixels of four bytes take 1.6 GB.
const MOST_SIDE: f32 = 20_000.0;
/// The family name of the fonts.
const FAMILY: &str = "DejaVu Sans";

/// A PNG file of `svg` at [`SCALE`] on white, as bytes.
pub fn png(svg: &str) -> Result<Vec<u8>> {
    const OP: &str = "draw picture";
    let tree = Tree::from_str(svg, &options())
        .map_err(|error| Error::image(OP, "an SVG document", error.to_string()).caused_by(error))?;
    let (width, height) = (tree.size().width() * SCALE as f32, tree.size().height() * SCALE as f32);
    let too_large = || {
        Error::image(
            OP,
            format!("at most {MOST_SIDE} pixels along a side (fewer photographs, or .svg)"),
            format!("{width} x {height}"),
        )
    };
    if width.max(height) > MOST_SIDE {
        return Err(too_large());
    }
    let mut pixmap = Pixmap::new(width.ceil() as u32, height.ceil() as u32).ok_or_else(too_large)?;
    pixmap.fill(resvg::tiny_skia::Color::WHITE);
    resvg::render(&tree, Transform::from_scale(SCALE as f32, SCALE as f32), &mut pixmap.as_mut());
    // All pixels are opaque, so the alpha is dropped and need not be undone.
    let rgb = pixmap.data().chunks_exact(4).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    svg::png(&RgbImage::from_raw(pixmap.width(), pixmap.height(), rgb).ok_or_else(too_large)?)
}

fn options() -> Options<'static> {
    let mut fonts = fontdb::Database::new();
    for font in [dejavu::sans::regular(), dejavu::sans::bold()] {
        fonts.load_font_source(fontdb::Source::Binary(Arc::new(font)));
    }
    fonts.set_sans_serif_family(FAMILY);
    // Images have the size at which they are drawn. Smooth rendering would blur them.
    let image_rendering = ImageRendering::OptimizeSpeed;
    Options { font_family: FAMILY.into(), fontdb: Arc::new(fonts), image_rendering, ..Options::default() }
}

#[cfg(test)]
mod tests {
    use glam::DVec2;

    use super::*;
    use crate::picture::{Anchor, Svg, Text};

    fn drawn(svg: Svg) -> RgbImage {
        image::load_from_memory(&png(&svg.finish()).unwrap()).unwrap().into_rgb8()
    }

    #[test]
    fn what_the_document_says_is_what_is_drawn() {
        let mut page = Svg::new(DVec2::new(30.0, 20.0), "test");
        let dots = RgbImage::from_raw(2, 1, vec![255, 0, 0, 0, 0, 255]).unwrap();
        page.image(DVec2::new(4.0, 4.0), DVec2::new(1.0, 0.5), &dots, "dots").unwrap();
        page.rect(DVec2::new(20.0, 10.0), DVec2::new(5.0, 5.0), "#00ff00");
        let image = drawn(page);
        assert_eq!(image.dimensions(), (60, 40));
        assert_eq!(image.get_pixel(0, 0).0, [255; 3]);
        assert_eq!(image.get_pixel(45, 25).0, [0, 255, 0]);
        // An image that is drawn at its own size does not change.
        assert_eq!((image.get_pixel(8, 8).0, image.get_pixel(9, 8).0), ([255, 0, 0], [0, 0, 255]));
    }

    #[test]
    fn text_has_letters() {
        let mut page = Svg::new(DVec2::new(100.0, 20.0), "test");
        let blank = drawn(Svg::new(DVec2::new(100.0, 20.0), "test"));
        page.text(DVec2::new(5.0, 15.0), Text::new(12.0, Anchor::Start), "block 1 ‖I − aX₀‖");
        let dark = drawn(page).pixels().filter(|pixel| pixel.0[0] < 128).count();
        assert_eq!(blank.pixels().filter(|pixel| pixel.0[0] < 128).count(), 0);
        assert!(dark > 100, "{dark} dark pixels");
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        assert!(png("not SVG").unwrap_err().to_string().contains("SVG document"));
        let error = png(&Svg::new(DVec2::new(10.0, 20_000.0), "tall").finish()).unwrap_err();
        assert!(error.to_string().contains("fewer photographs"), "{error}");
    }
}
