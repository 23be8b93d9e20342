//! Accuracy and agreement against multiply-adds.

use std::path::Path;

use plotters::prelude::*;
use tcvit::{Error, Result};

use super::summary::Summary;
use crate::picture::save_svg_text;

const SIZE: (u32, u32) = (980, 400);
/// Height of a row of the legend, below the panels.
const ROW: u32 = 22;

/// Draws two panels: top-1 with its standard error, and agreement with the full model. Each condensation is one line.
pub fn draw(path: &Path, summaries: &[Summary], title: &str) -> Result<()> {
    let mut svg = String::new();
    plot(&mut svg, summaries, title).map_err(|error| {
        Error::file("draw evaluation", format!("a picture for {}", path.display()), error.to_string())
    })?;
    save_svg_text(path, &svg)
}

/// The names of the lines. Each line has its own colour.
fn families(summaries: &[Summary]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for summary in summaries.iter().skip(1) {
        if !names.contains(&summary.family.as_str()) {
            names.push(&summary.family);
        }
    }
    names
}

fn plot(svg: &mut String, summaries: &[Summary], title: &str) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let names = families(summaries);
    // The legend has two long names or four short names in a row.
    let columns = if names.iter().any(|name| name.len() > 24) { 2 } else { 4 };
    let rows = (names.len() as u32 + 1).div_ceil(columns);
    let size = (SIZE.0, SIZE.1 + rows * ROW + 12);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    let (panels, legend) = root.split_vertically(SIZE.1);
    let panels = panels.titled(title, ("sans-serif", 18))?;
    let (left, right) = panels.split_horizontally(SIZE.0 / 2);
    panel(&left, summaries, "top-1 accuracy, %", false)?;
    panel(&right, summaries, "agreement with the full model, %", true)?;
    for (index, name) in std::iter::once("full").chain(names).enumerate() {
        let (column, row) = (index as u32 % columns, index as u32 / columns);
        let at = (70 + (column * (SIZE.0 - 90) / columns) as i32, 10 + (row * ROW) as i32);
        match index {
            0 => legend.draw(&TriangleMarker::new(at, 6, BLACK.filled()))?,
            _ => legend.draw(&Circle::new(at, 4, Palette99::pick(index - 1).filled()))?,
        }
        legend.draw(&Text::new(name.to_owned(), (at.0 + 12, at.1 - 7), ("sans-serif", 13)))?;
    }
    root.present()?;
    Ok(())
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    summaries: &[Summary],
    label: &str,
    agreement: bool,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let x = |summary: &Summary| summary.multiply_adds as f64 / 1e6;
    let y = |summary: &Summary| 100.0 * if agreement { summary.agreement } else { summary.top1 };
    let error = |summary: &Summary| if agreement { 0.0 } else { 100.0 * summary.top1_error };
    let bounds = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (x0, x1) = bounds(&mut summaries.iter().map(x));
    let (y0, y1) = bounds(&mut summaries.iter().flat_map(|s| [y(s) - error(s), y(s) + error(s)]));
    let (dx, dy) = (0.05 * (x1 - x0).max(x1 * 0.02), 0.06 * (y1 - y0).max(0.5));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(56)
        .build_cartesian_2d(x0 - dx..x1 + dx, y0 - dy..y1 + dy)?;
    chart
        .configure_mesh()
        .x_desc("million multiply-adds an image, condensation included")
        .y_desc(label)
        .light_line_style(WHITE.mix(0.0))
        .bold_line_style(BLACK.mix(0.12))
        .x_labels(7)
        .y_labels(8)
        .label_style(("sans-serif", 13))
        .draw()?;
    for (index, family) in families(summaries).iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        let mut points: Vec<&Summary> = summaries.iter().filter(|summary| summary.family == *family).collect();
        points.sort_by_key(|summary| summary.multiply_adds);
        chart.draw_series(LineSeries::new(points.iter().map(|s| (x(s), y(s))), colour.stroke_width(2)))?;
        if !agreement {
            let bar = |s: &&Summary| ErrorBar::new_vertical(x(s), y(s) - error(s), y(s), y(s) + error(s), colour, 6);
            chart.draw_series(points.iter().map(bar))?;
        }
        chart.draw_series(points.iter().map(|s| Circle::new((x(s), y(s)), 4, colour.filled())))?;
    }
    if let Some(full) = summaries.first() {
        chart.draw_series([TriangleMarker::new((x(full), y(full)), 7, BLACK.filled())])?;
    }
    Ok(())
}
