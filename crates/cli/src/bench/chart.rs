//! A chart of the speed of condensed models against the full model and the ideal, and of GPU time by kernel.

use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use tcvit::{Error, Result};

use super::gpu_time::KernelShare;
use super::result::{Measured, Report};
use super::table::significant;
use crate::picture::save_svg_text;

/// Width of both panels, and of the left one.
const PANELS: u32 = 990;
const LEFT: u32 = 535;
/// Least and greatest width of the rows' names, and about the width of a letter.
const NAMES: std::ops::RangeInclusive<usize> = 170..=400;
const LETTER: usize = 7;
/// Height of the title and the lines below it.
const HEAD: u32 = 72;
/// Height of a group's name, and of each of its rows.
const GROUP: i32 = 34;
const ROW: i32 = 25;
const BAR: i32 = 17;
/// Height of an axis and its name, and of the legend.
const AXIS: u32 = 40;
const LEGEND: u32 = 60;

/// Colours that colour-blind readers can tell apart (Okabe and Ito).
const FULL: RGBColor = RGBColor(0x9a, 0xa5, 0xb1);
const CONDENSED: RGBColor = RGBColor(0x4b, 0x3f, 0x8f);
const CONDENSING: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
const REST: RGBColor = RGBColor(0xd0, 0xd0, 0xd0);
const KERNELS: [RGBColor; 5] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xe6, 0xc2, 0x29),
    RGBColor(0xcc, 0x79, 0xa7),
];

type Drawn<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Panel<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// A result, and the top of its bar.
struct Row<'a> {
    result: &'a Measured,
    /// The full model of its group.
    full: &'a Measured,
    top: i32,
}

/// Draws two panels with a row for each result: speed against the full model, and GPU time by kernel.
pub fn draw(path: &Path, report: &Report) -> Result<()> {
    let mut svg = String::new();
    plot(&mut svg, report)
        .map_err(|error| Error::file("draw bench", format!("a picture for {}", path.display()), error.to_string()))?;
    save_svg_text(path, &svg)
}

fn plot(svg: &mut String, report: &Report) -> Drawn {
    let (mut rows, mut groups, mut top) = (Vec::new(), Vec::new(), 0);
    for group in report.groups() {
        groups.push((top, &group[0]));
        top += GROUP;
        for result in group {
            rows.push(Row { result, full: &group[0], top: top + (ROW - BAR) / 2 });
            top += ROW;
        }
    }
    let longest = rows.iter().map(|row| row.result.condensation.chars().count()).max().unwrap_or(0);
    let names = (longest * LETTER + 30).clamp(*NAMES.start(), *NAMES.end());
    let size = (names as u32 + PANELS, HEAD + top as u32 + AXIS + LEGEND);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    say(&root, "Condensed against full", (14, 22), 18, &BLACK)?;
    let warnings = report.origin.warnings();
    say(&root, &format!("{}; {}", report.origin.machine(), report.origin.program()), (14, 44), 12, &BLACK.mix(0.6))?;
    say(&root, &warnings.join("; "), (14, 62), 12, &CONDENSING)?;
    let (_, body) = root.split_vertically(HEAD);
    let (body, legend) = body.split_vertically(top as u32 + AXIS);
    for &(top, full) in &groups {
        let name = format!("{}, {}, batch {}", full.model, full.precision, full.batch);
        say(&body, &name, (14, top + GROUP - 9), 14, &BLACK)?;
    }
    for row in &rows {
        let mut name = row.result.condensation.clone();
        if let Some((cut, _)) = name.char_indices().nth((names - 30) / LETTER) {
            name.replace_range(cut.., "…");
        }
        say(&body, &name, (14, row.top + BAR / 2), 12, &BLACK.mix(0.75))?;
    }
    let (_, panels) = body.split_horizontally(names as u32);
    let (left, right) = panels.split_horizontally(LEFT);
    let kinds = kinds(&rows);
    speeds(&left, &rows, top)?;
    gpu_times(&right, &rows, &kinds, top)?;
    keys(&legend, &kinds)?;
    root.present()?;
    Ok(())
}

/// Writes `text`. Its left end is at `at`, at half its height.
fn say(area: &Area<'_>, text: &str, at: (i32, i32), size: u32, colour: &impl Color) -> Drawn {
    let style = ("sans-serif", size).into_font().color(colour).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}

/// A panel whose x axis goes from 0 to `most` and whose y coordinate is pixels from the top.
fn panel<'a>(area: &Area<'a>, most: f64, height: i32, name: &str) -> Drawn<Panel<'a>> {
    let mut panel = ChartBuilder::on(area)
        .margin_right(14)
        .x_label_area_size(AXIS)
        .build_cartesian_2d(0.0..most, f64::from(height)..0.0)?;
    panel
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc(name)
        .x_labels(8)
        .light_line_style(WHITE.mix(0.0))
        .bold_line_style(BLACK.mix(0.1))
        .label_style(("sans-serif", 12))
        .axis_desc_style(("sans-serif", 12))
        .draw()?;
    Ok(panel)
}

impl Row<'_> {
    fn bar(&self, from: f64, to: f64, colour: RGBColor) -> Rectangle<(f64, f64)> {
        let (top, bottom) = (f64::from(self.top), f64::from(self.top + BAR));
        Rectangle::new([(from, top), (to, bottom)], colour.filled())
    }

    /// A line across the row's bar that is a little longer than the bar is high.
    fn mark(&self, at: f64) -> PathElement<(f64, f64)> {
        let (top, bottom) = (f64::from(self.top - 3), f64::from(self.top + BAR + 3));
        PathElement::new(vec![(at, top), (at, bottom)], BLACK.stroke_width(2))
    }

    /// A text that begins a little to the right of `at`.
    fn label(&self, panel: &Panel<'_>, at: f64, text: &str) -> Drawn {
        let (x, y) = panel.backend_coord(&(at, f64::from(self.top + BAR / 2)));
        let (x0, y0) = panel.plotting_area().get_base_pixel();
        let area = panel.plotting_area().strip_coord_spec();
        say(&area, text, (x - x0 + 8, y - y0), 12, &BLACK.mix(0.85))
    }
}

/// Draws the speed against the full model, with the ideal speed and the quartiles.
fn speeds(area: &Area<'_>, rows: &[Row<'_>], height: i32) -> Drawn {
    let gain = |row: &Row<'_>| {
        row.result.gain.map_or([1.0; 4], |gain| {
            let [low, high] = gain.speedup_quartiles;
            [gain.speedup, low, high, gain.ideal_speedup]
        })
    };
    let end = |row: &Row<'_>| gain(row).into_iter().fold(0.0, f64::max);
    // The room to the right of the bars is for the labels.
    let most = rows.iter().map(end).fold(1.0, f64::max) * 1.42;
    let mut panel = panel(area, most, height, "speed (full model = 1)")?;
    for row in rows {
        let [speed, low, high, _] = gain(row);
        let colour = if row.result.gain.is_some() { CONDENSED } else { FULL };
        panel.draw_series([row.bar(0.0, speed, colour)])?;
        let middle = f64::from(row.top) + f64::from(BAR) / 2.0;
        panel.draw_series([PathElement::new(vec![(low, middle), (high, middle)], BLACK.mix(0.6))])?;
        let rate = format!("{} images/s", significant(row.result.images_per_second));
        let text = match row.result.gain {
            Some(gain) => {
                panel.draw_series([row.mark(gain.ideal_speedup)])?;
                format!("{rate}, share {:.2}", gain.realised_share)
            }
            None => rate,
        };
        row.label(&panel, end(row), &text)?;
    }
    Ok(())
}

/// Draws GPU time by kernel, relative to the full model.
fn gpu_times(area: &Area<'_>, rows: &[Row<'_>], kinds: &[String], height: i32) -> Drawn {
    let longest = rows.iter().filter_map(|row| Some(row.result.gpu.as_ref()?.milliseconds / full_time(row)?));
    let mut panel = panel(area, longest.fold(1.0, f64::max) * 1.5, height, "GPU time (full model = 1)")?;
    for row in rows {
        let (Some(gpu), Some(full)) = (&row.result.gpu, full_time(row)) else {
            row.label(&panel, 0.0, "this adapter does not measure it")?;
            continue;
        };
        let mut end = 0.0;
        for (kind, colour) in colours(kinds) {
            let of_kind = gpu.kernels.iter().filter(|kernel| kind_of(kernel, kinds) == kind);
            let start = end;
            end += of_kind.map(|kernel| kernel.milliseconds / full).sum::<f64>();
            panel.draw_series([row.bar(start, end, colour)])?;
        }
        let text = match row.result.gain {
            Some(_) => {
                format!("{} ms, {:.1} % condensing", significant(gpu.milliseconds), gpu.condensing_share * 100.0)
            }
            None => format!("{} ms", significant(gpu.milliseconds)),
        };
        row.label(&panel, end, &text)?;
    }
    Ok(())
}

fn full_time(row: &Row<'_>) -> Option<f64> {
    row.full.gpu.as_ref().map(|gpu| gpu.milliseconds)
}

/// Names in the legend that are not kernels.
const CONDENSE: &str = "condensing";
const OTHER: &str = "other";

/// The kernels that take the most time in all rows, in descending order. Condensing dispatches are left out.
fn kinds(rows: &[Row<'_>]) -> Vec<String> {
    let mut sums: Vec<(String, f64)> = Vec::new();
    for gpu in rows.iter().filter_map(|row| row.result.gpu.as_ref()) {
        for kernel in gpu.kernels.iter().filter(|kernel| !kernel.condensing) {
            match sums.iter_mut().find(|(name, _)| *name == kernel.kernel) {
                Some((_, sum)) => *sum += kernel.share,
                None => sums.push((kernel.kernel.clone(), kernel.share)),
            }
        }
    }
    sums.sort_by(|a, b| b.1.total_cmp(&a.1));
    sums.into_iter().take(KERNELS.len()).map(|(name, _)| name).collect()
}

fn kind_of<'a>(kernel: &'a KernelShare, kinds: &[String]) -> &'a str {
    match kernel.kernel.as_str() {
        _ if kernel.condensing => CONDENSE,
        name if kinds.iter().any(|kind| kind == name) => name,
        _ => OTHER,
    }
}

/// Every name in the legend in the order in which it is drawn, with its colour.
fn colours(kinds: &[String]) -> impl Iterator<Item = (&str, RGBColor)> {
    kinds.iter().map(String::as_str).zip(KERNELS).chain([(OTHER, REST), (CONDENSE, CONDENSING)])
}

/// Draws the legend of colours and marks below the panels.
fn keys(area: &Area<'_>, kinds: &[String]) -> Drawn {
    let size = area.dim_in_pixel();
    let (speeds, kernels) = (area, area.clone().shrink((0, ROW), (size.0, LEGEND - ROW as u32)));
    let mut x = 14;
    for (name, colour) in [("full", FULL), ("condensed", CONDENSED)] {
        x = key(speeds, x, name, colour)?;
    }
    speeds.draw(&PathElement::new(vec![(x + 5, 7), (x + 5, 23)], BLACK.stroke_width(2)))?;
    say(speeds, "ideal: as the network's multiply-adds allow", (x + 16, 15), 12, &BLACK)?;
    speeds.draw(&PathElement::new(vec![(x + 310, 15), (x + 330, 15)], BLACK.mix(0.6)))?;
    say(speeds, "quartiles", (x + 336, 15), 12, &BLACK)?;
    let mut x = 14;
    for (name, colour) in colours(kinds) {
        x = key(&kernels, x, name, colour)?;
    }
    Ok(())
}

/// Draws one entry of the legend at `x` and returns the `x` of the next one.
fn key(area: &Area<'_>, x: i32, name: &str, colour: RGBColor) -> Drawn<i32> {
    area.draw(&Rectangle::new([(x, 9), (x + 12, 21)], colour.filled()))?;
    say(area, name, (x + 17, 15), 12, &BLACK)?;
    Ok(x + 36 + name.len() as i32 * 7)
}
