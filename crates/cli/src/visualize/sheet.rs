//! The paper's Figure 4 as a page: three rows, with a column for the photograph and one for each block.

use glam::DVec2;
use image::RgbImage;
use image::imageops::{FilterType, resize};
use tcvit::{Provenance, Result, Trace};

use super::Subject;
use super::patches::{Row, draw as draw_row};
use crate::picture::svg::HAIR;
use crate::picture::{Anchor, SCALE, Svg, Text};

/// The most blocks beside each other. Further blocks continue below, after the photograph again.
const MOST_BLOCKS: usize = 12;
/// About the length of an image's side.
const SIDE: f64 = 112.0;
const MARGIN: f64 = 18.0;
const GAP: f64 = 6.0;
/// Room between bands of blocks and between photographs.
const BREAK: f64 = 22.0;
/// Room to the left of the images for the names of the rows.
const NAMES: f64 = 22.0;
/// Room above the images for the names of the columns.
const HEADINGS: f64 = 34.0;
const TITLE: f64 = 30.0;
/// Room for a photograph's name.
const NAME: f64 = 22.0;

/// Draws every subject, one below the other.
pub fn draw(title: &str, subjects: &[Subject], trace: &Trace, provenance: &Provenance, patch: usize) -> Result<Svg> {
    let seen = subjects.first().map_or(1, |subject| subject.seen.width());
    let side = cell_side(seen);
    let bands = trace.blocks.len().div_ceil(MOST_BLOCKS).max(1);
    let blocks = trace.blocks.len().div_ceil(bands);
    let width = NAMES + (blocks + 1) as f64 * (side + GAP) - GAP;
    let heading = Text::new(14.0, Anchor::Start).bold();
    // A page with few columns is widened for its title, up to a limit.
    let room = width.max(heading.width(title).min(400.0));
    let title_lines = heading.wrap(title, room);
    let above = TITLE + title_lines.len().saturating_sub(1) as f64 * heading.line_height();
    let band = HEADINGS + 3.0 * (side + GAP) - GAP;
    let each = NAME + bands as f64 * (band + BREAK);
    let height = above + subjects.len() as f64 * each - BREAK;
    let mut page = Svg::new(DVec2::new(room, height) + 2.0 * MARGIN, title);
    page.lines(DVec2::new(MARGIN, MARGIN + 12.0), heading, &title_lines);

    for (image, subject) in subjects.iter().enumerate() {
        let mut at = DVec2::new(MARGIN, MARGIN + above + image as f64 * each);
        if image > 0 {
            let y = at.y - BREAK / 2.0;
            page.line(DVec2::new(MARGIN, y), DVec2::new(MARGIN + width, y), HAIR, 0.5);
        }
        let style = Text::new(12.0, Anchor::Start);
        page.text(at + DVec2::new(0.0, 10.0), style, &style.fit(&subject.name, room));
        at.y += NAME;
        for blocks in trace.blocks.chunks(blocks.max(1)) {
            let mut columns = vec![("original".to_owned(), format!("{} patches", provenance.patches), None)];
            columns.extend(blocks.iter().map(|block| {
                let after = &provenance.blocks[block.block];
                (format!("block {}", block.block + 1), format!("{} tokens", after.tokens), Some(after))
            }));
            for (column, (heading, count, after)) in columns.iter().enumerate() {
                let corner = at + DVec2::new(NAMES + column as f64 * (side + GAP), 0.0);
                let middle = corner + DVec2::new(side / 2.0, 0.0);
                page.text(middle + DVec2::new(0.0, 12.0), Text::new(11.0, Anchor::Middle).bold(), heading);
                page.text(middle + DVec2::new(0.0, 26.0), Text::new(11.0, Anchor::Middle).grey(), count);
                for (index, row) in Row::ALL.into_iter().enumerate() {
                    let corner = corner + DVec2::new(0.0, HEADINGS + index as f64 * (side + GAP));
                    let shown = match after {
                        Some(after) => sized(&draw_row(row, &subject.seen, patch as u32, after, image), side),
                        None => sized(&subject.seen, side),
                    };
                    let label = format!("{}, {}, {heading}", subject.name, row.name());
                    page.image(corner, DVec2::splat(side), &shown, &label)?;
                    page.frame(corner, DVec2::splat(side));
                    if column == 0 {
                        let at = DVec2::new(at.x + 11.0, corner.y + side / 2.0);
                        page.text(at, Text::new(11.0, Anchor::Middle).upwards(), row.name());
                    }
                }
            }
            at.y += band + BREAK;
        }
    }
    Ok(page)
}

/// A side near [`SIDE`] at which each pixel of an image of `seen` pixels is a whole number of PNG pixels, if there is
/// one.
fn cell_side(seen: u32) -> f64 {
    let unit = f64::from(seen.max(1)) / f64::from(SCALE);
    let whole = (SIDE / unit).round().max(1.0) * unit;
    if (0.75 * SIDE..=1.5 * SIDE).contains(&whole) { whole } else { SIDE }
}

/// `image` at the size of a PNG's pixels, so that every viewer shows the same. It is enlarged without smoothing and
/// reduced with smoothing.
fn sized(image: &RgbImage, side: f64) -> RgbImage {
    let pixels = (side * f64::from(SCALE)).round() as u32;
    let filter = if image.width() > pixels { FilterType::Triangle } else { FilterType::Nearest };
    resize(image, pixels, pixels, filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_stay_whole_where_they_can() {
        for (seen, side) in [(224, 112.0), (32, 112.0), (256, 128.0), (28, 112.0), (96, 96.0), (240, 120.0)] {
            assert_eq!(cell_side(seen), side, "{seen} pixels");
        }
        for seen in [1, 33, 384, 518, 1024] {
            assert!((84.0..=168.0).contains(&cell_side(seen)), "{seen} pixels");
        }
        assert_eq!(sized(&RgbImage::new(32, 32), 112.0).dimensions(), (224, 224));
    }
}
