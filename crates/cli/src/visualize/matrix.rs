//! The paper's Figure 3 as a page: |I - a W| of every block as heat maps with one common scale of colours.

use glam::DVec2;
use image::imageops::{FilterType, resize};
use image::{Rgb, RgbImage};
use tcvit::low_level::convergence::Convergence;
use tcvit::{Result, Trace};

use super::{Subject, norm_text};
use crate::picture::colours::viridis;
use crate::picture::svg::HAIR;
use crate::picture::{Anchor, SCALE, Svg, Text};

/// The most maps in a row.
const MOST_COLUMNS: usize = 6;
const SIDE: f64 = 168.0;
const MARGIN: f64 = 18.0;
const GAP: f64 = 14.0;
const BREAK: f64 = 22.0;
/// Room above a map.
const HEADING: f64 = 20.0;
/// Room below a map for the figures that decide convergence.
const FIGURES: f64 = 36.0;
const TITLE: f64 = 30.0;
const NAME: f64 = 24.0;
/// Width of the colour bar with its ticks and its name.
const BAR: f64 = 92.0;
/// Room above the notes.
const NOTE: f64 = 18.0;
/// The notes, which explain the figures.
const NOTES: &str = "A = I − aW, X₀ = diag(A)⁻¹. Dominant rows of A: the diagonal outweighs all other elements. \
                     Newton's iteration from X₀ is sure to converge only if the norm ‖I − AX₀‖ is below 1. \
                     The colours span 99 % of all elements.";
/// The share of all elements that are darker than the colour bar, and the share that are lighter.
const CUT: f64 = 0.005;

/// Draws every subject, one below the other.
pub fn draw(title: &str, subjects: &[Subject], trace: &Trace, alpha: f32) -> Result<Svg> {
    let rows = trace.blocks.len().div_ceil(MOST_COLUMNS).max(1);
    let columns = trace.blocks.len().div_ceil(rows).max(1);
    let cell = DVec2::new(SIDE + GAP, HEADING + SIDE + FIGURES + GAP);
    let maps = DVec2::new(columns as f64 * cell.x - GAP, rows as f64 * cell.y - GAP);
    let each = NAME + maps.y + BREAK;
    let (heading, small) = (Text::new(14.0, Anchor::Start).bold(), Text::new(10.0, Anchor::Start).grey());
    let room = (maps.x + BAR).max(heading.width(title).min(400.0));
    let (title_lines, notes) = (heading.wrap(title, room), small.wrap(NOTES, room));
    let above = TITLE + title_lines.len().saturating_sub(1) as f64 * heading.line_height();
    let foot = above + subjects.len() as f64 * each - BREAK + NOTE;
    let height = foot + notes.len() as f64 * small.line_height();
    let mut page = Svg::new(DVec2::new(room, height) + 2.0 * MARGIN, title);
    page.lines(DVec2::new(MARGIN, MARGIN + 12.0), heading, &title_lines);

    let matrices: Vec<Vec<Vec<f64>>> = (0..subjects.len())
        .map(|image| trace.blocks.iter().map(|b| magnitudes(&b.connectivity, b.patches, image, alpha)).collect())
        .collect();
    let scale = Scale::of(matrices.iter().flatten().flatten().copied());
    for (image, subject) in subjects.iter().enumerate() {
        let at = DVec2::new(MARGIN, MARGIN + above + image as f64 * each);
        if image > 0 {
            let y = at.y - BREAK / 2.0;
            page.line(DVec2::new(MARGIN, y), DVec2::new(MARGIN + room, y), HAIR, 0.5);
        }
        let style = Text::new(12.0, Anchor::Start);
        page.text(at + DVec2::new(0.0, 10.0), style, &style.fit(&subject.name, room));
        let top = at + DVec2::new(0.0, NAME);
        for (index, block) in trace.blocks.iter().enumerate() {
            let place = DVec2::new((index % columns) as f64, (index / columns) as f64) * cell;
            let corner = top + place + DVec2::new(0.0, HEADING);
            let name = format!("block {}", block.block + 1);
            page.text(corner - DVec2::new(0.0, 7.0), Text::new(11.0, Anchor::Start).bold(), &name);
            let count = format!("{} tokens", block.patches);
            page.text(corner + DVec2::new(SIDE, -7.0), Text::new(11.0, Anchor::End).grey(), &count);
            let map = heat_map(&matrices[image][index], block.patches, &scale);
            page.image(corner, DVec2::splat(SIDE), &map, &format!("{}, |I − aW|, {name}", subject.name))?;
            page.frame(corner, DVec2::splat(SIDE));
            if let Some(convergence) = subject.convergence.get(index) {
                figures(&mut page, corner + DVec2::new(0.0, SIDE), convergence);
            }
        }
        let bar = top + DVec2::new(maps.x + 24.0, HEADING);
        colour_bar(&mut page, bar, maps.y - HEADING - FIGURES, &scale, &format!("bar{image}"), alpha);
    }
    page.lines(DVec2::new(MARGIN, MARGIN + foot + 9.0), small, &notes);
    Ok(page)
}

/// |I - a W| of one image [N, N].
fn magnitudes(connectivity: &[f32], patches: usize, image: usize, alpha: f32) -> Vec<f64> {
    let w = connectivity.chunks_exact(patches * patches).nth(image).unwrap_or_default();
    let identity = |at: usize| f64::from(u8::from(at / patches == at % patches));
    w.iter().enumerate().map(|(at, &w)| (identity(at) - f64::from(alpha) * f64::from(w)).abs()).collect()
}

/// Writes the figures that decide convergence below a map.
fn figures(page: &mut Svg, at: DVec2, convergence: &Convergence) {
    let rows = [
        ("dominant rows", format!("{:.1} %", convergence.dominant_share * 100.0)),
        ("‖I − AX₀‖", norm_text(convergence)),
    ];
    for ((name, value), y) in rows.into_iter().zip([14.0, 28.0]) {
        page.text(at + DVec2::new(0.0, y), Text::new(10.5, Anchor::Start).grey(), name);
        page.text(at + DVec2::new(SIDE, y), Text::new(10.5, Anchor::End), &value);
    }
}

fn colour_bar(page: &mut Svg, at: DVec2, height: f64, scale: &Scale, id: &str, alpha: f32) {
    const WIDTH: f64 = 12.0;
    let colours: Vec<[u8; 3]> = (0..=36).map(|step| viridis(f64::from(step) / 36.0)).collect();
    page.gradient(id, at, DVec2::new(WIDTH, height), &colours);
    page.frame(at, DVec2::new(WIDTH, height));
    for (value, text) in scale.ticks() {
        let y = at.y + height * (1.0 - scale.share(value));
        page.line(DVec2::new(at.x + WIDTH, y), DVec2::new(at.x + WIDTH + 4.0, y), "#666666", 0.75);
        page.text(DVec2::new(at.x + WIDTH + 7.0, y + 3.6), Text::new(10.0, Anchor::Start), &text);
    }
    let style = Text::new(11.0, Anchor::Middle).upwards();
    page.text(at + DVec2::new(WIDTH + 52.0, height / 2.0), style, &format!("|I − aW|, a = {alpha}"));
}

/// `matrix` [N, N] as an image for a PNG. It is enlarged without smoothing and reduced with smoothing.
fn heat_map(matrix: &[f64], patches: usize, scale: &Scale) -> RgbImage {
    let pixels = (SIDE * f64::from(SCALE)) as u32;
    let side = pixels.max(patches as u32);
    let index = |at: u32| (u64::from(at) * patches as u64 / u64::from(side)) as usize;
    let map = RgbImage::from_fn(side, side, |x, y| {
        Rgb(matrix.get(index(y) * patches + index(x)).map_or([255; 3], |&value| viridis(scale.share(value))))
    });
    if side == pixels { map } else { resize(&map, pixels, pixels, FilterType::Triangle) }
}

/// A logarithmic scale of colours, because the elements of one map span several powers of ten.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    /// A scale from the smallest to the largest of `values`, except for the share [`CUT`] at each end.
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.filter(|value| *value > 0.0 && value.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| values.get((share * values.len().saturating_sub(1) as f64) as usize).copied();
        let least = at(CUT).unwrap_or(1.0);
        // At least a factor of ten, so that a flat matrix does not show its rounding errors.
        Self { least, most: at(1.0 - CUT).unwrap_or(1.0).max(least * 10.0) }
    }

    /// 0 at the lower end of the scale, 1 at the upper end.
    fn share(&self, value: f64) -> f64 {
        ((value / self.least).log10() / (self.most / self.least).log10()).clamp(0.0, 1.0)
    }

    /// The values of the ticks: powers of ten, and twice and five times them if there are fewer than three.
    fn ticks(&self) -> Vec<(f64, String)> {
        let (low, high) = (self.least.log10().floor() as i32, self.most.log10().ceil() as i32);
        let within = |steps: &[f64]| -> Vec<f64> {
            let all = (low..=high).flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
            all.filter(|value| (self.least..=self.most).contains(value)).collect()
        };
        let tens = within(&[1.0]);
        let values = if tens.len() < 3 { within(&[1.0, 2.0, 5.0]) } else { tens };
        values.into_iter().map(|value| (value, tick_text(value))).collect()
    }
}

fn tick_text(value: f64) -> String {
    match value {
        _ if !(1e-3..1e5).contains(&value) => format!("{value:.0e}"),
        _ if value >= 0.999 => format!("{value:.0}"),
        _ => format!("{value:.3}").trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magnitudes_are_those_of_the_second_image() {
        let w = [9.0, 9.0, 9.0, 9.0, 0.5, 0.25, 0.0, 0.125];
        assert_eq!(magnitudes(&w, 2, 1, 4.0), [1.0, 1.0, 0.0, 0.5]);
        assert!(magnitudes(&w, 2, 2, 4.0).is_empty());
    }

    #[test]
    fn the_scale_covers_its_values() {
        let scale = Scale::of((-300..=300).map(|at| 10f64.powf(f64::from(at) / 100.0)));
        assert!((scale.share(1.0) - 0.5).abs() < 0.01, "{}", scale.share(1.0));
        assert_eq!((scale.share(1e-9), scale.share(1e9), scale.share(0.0)), (0.0, 1.0, 0.0));
        let ticks: Vec<String> = scale.ticks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(ticks, ["0.01", "0.1", "1", "10", "100"]);
        let short: Vec<String> = Scale { least: 0.4, most: 30.0 }.ticks().into_iter().map(|(_, t)| t).collect();
        assert_eq!(short, ["0.5", "1", "2", "5", "10", "20"]);
        // Zeros alone, or a single value, still give a scale.
        for scale in [Scale::of([0.0; 4].into_iter()), Scale::of([3.0; 4].into_iter())] {
            assert!(scale.share(3.0).is_finite() && !scale.ticks().is_empty());
        }
    }
}
