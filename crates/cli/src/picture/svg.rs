//! An SVG document. Later elements lie above earlier ones. Coordinates are units from the top left corner.

use std::fmt::Write;

use base64::Engine;
use glam::DVec2;
use image::RgbImage;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use tcvit::{Error, Result};

/// Colour of main text.
pub const INK: &str = "#1a1a1a";
/// Colour of secondary text.
pub const GREY: &str = "#666666";
/// Colour of frames and separators.
pub const HAIR: &str = "#bdbdbd";

/// Which point of a text its position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// The style of a text.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    pub size: f64,
    pub anchor: Anchor,
    pub bold: bool,
    pub fill: &'static str,
    /// Whether the text is turned to read upwards.
    pub upwards: bool,
}

impl Text {
    pub fn new(size: f64, anchor: Anchor) -> Self {
        Self { size, anchor, bold: false, fill: INK, upwards: false }
    }

    pub fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub fn grey(self) -> Self {
        Self { fill: GREY, ..self }
    }

    pub fn upwards(self) -> Self {
        Self { upwards: true, ..self }
    }

    /// The distance between two baselines, in whole units so that images below stay on whole pixels.
    pub fn line_height(&self) -> f64 {
        (1.4 * self.size).ceil()
    }

    /// An estimate of the width of `content`. It is on the large side, since fonts differ.
    pub fn width(&self, content: &str) -> f64 {
        content.chars().count() as f64 * self.size * if self.bold { 0.68 } else { 0.62 }
    }

    /// `content`, cut and ended with an ellipsis if it is wider than `room`.
    pub fn fit(&self, content: &str, room: f64) -> String {
        if self.width(content) <= room {
            return content.to_owned();
        }
        let count = (room / self.width("x")) as usize;
        content.chars().take(count.saturating_sub(1)).chain(['…']).collect()
    }

    /// `content` in lines that are no wider than `room`, broken at spaces. A longer word is cut.
    pub fn wrap(&self, content: &str, room: f64) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in content.split_whitespace() {
            let longer = lines.last().map(|line| format!("{line} {word}"));
            match (longer.filter(|line| self.width(line) <= room), lines.last_mut()) {
                (Some(longer), Some(line)) => *line = longer,
                _ => lines.push(self.fit(word, room)),
            }
        }
        lines
    }
}

/// An SVG document.
pub struct Svg {
    size: DVec2,
    body: String,
}

impl Svg {
    /// A white page of `size`. Screen readers and browsers show `title`.
    pub fn new(size: DVec2, title: &str) -> Self {
        let size = size.ceil();
        let mut svg = Self { size, body: format!("<title>{}</title>\n", escape(title)) };
        svg.rect(DVec2::ZERO, size, "#ffffff");
        svg
    }

    /// Draws `lines` of text. The baseline of the first one is at `at`.
    pub fn lines(&mut self, at: DVec2, style: Text, lines: &[String]) {
        for (index, line) in lines.iter().enumerate() {
            self.text(at + DVec2::new(0.0, index as f64 * style.line_height()), style, line);
        }
    }

    /// Width and height.
    pub fn size(&self) -> DVec2 {
        self.size
    }

    pub fn rect(&mut self, at: DVec2, size: DVec2, fill: &str) {
        self.put(format_args!(
            r#"<rect x="{}" y="{}" width="{}" height="{}" fill="{fill}"/>"#,
            number(at.x),
            number(at.y),
            number(size.x),
            number(size.y)
        ));
    }

    /// Draws a hairline around the rectangle at `at`.
    pub fn frame(&mut self, at: DVec2, size: DVec2) {
        let (at, size) = (at - 0.25, size + 0.5);
        self.put(format_args!(
            r#"<rect x="{}" y="{}" width="{}" height="{}" fill="none" stroke="{HAIR}" stroke-width="0.5"/>"#,
            number(at.x),
            number(at.y),
            number(size.x),
            number(size.y)
        ));
    }

    pub fn line(&mut self, from: DVec2, to: DVec2, stroke: &str, width: f64) {
        self.put(format_args!(
            r#"<line x1="{}" y1="{}" x2="{}" y2="{}" stroke="{stroke}" stroke-width="{}"/>"#,
            number(from.x),
            number(from.y),
            number(to.x),
            number(to.y),
            number(width)
        ));
    }

    /// Draws `content` with its baseline at `at`.
    pub fn text(&mut self, at: DVec2, style: Text, content: &str) {
        let anchor = match style.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if style.bold { r#" font-weight="bold""# } else { "" };
        let (x, y) = (number(at.x), number(at.y));
        let turn = if style.upwards { format!(r#" transform="rotate(-90 {x} {y})""#) } else { String::new() };
        self.put(format_args!(
            r#"<text x="{x}" y="{y}" font-size="{}" text-anchor="{anchor}" fill="{}"{weight}{turn}>{}</text>"#,
            number(style.size),
            style.fill,
            escape(content)
        ));
    }

    /// Draws `image` at `at`, scaled to `size`. `label` says what it shows.
    pub fn image(&mut self, at: DVec2, size: DVec2, image: &RgbImage, label: &str) -> Result<()> {
        let data = base64::engine::general_purpose::STANDARD.encode(png(image)?);
        self.put(format_args!(
            concat!(
                r#"<image x="{}" y="{}" width="{}" height="{}" preserveAspectRatio="none" "#,
                r#"href="data:image/png;base64,{}"><title>{}</title></image>"#
            ),
            number(at.x),
            number(at.y),
            number(size.x),
            number(size.y),
            data,
            escape(label)
        ));
        Ok(())
    }

    /// A rectangle filled from bottom to top with `colours` at even distances. `id` is unique in the document.
    pub fn gradient(&mut self, id: &str, at: DVec2, size: DVec2, colours: &[[u8; 3]]) {
        let last = colours.len().saturating_sub(1).max(1) as f64;
        let mut stops = String::new();
        for (index, [r, g, b]) in colours.iter().enumerate() {
            let offset = number(index as f64 / last);
            // Writing to a string cannot fail.
            let _ = write!(stops, r##"<stop offset="{offset}" stop-color="#{r:02x}{g:02x}{b:02x}"/>"##);
        }
        self.put(format_args!(
            r#"<defs><linearGradient id="{id}" x1="0" y1="1" x2="0" y2="0">{stops}</linearGradient></defs>"#
        ));
        self.rect(at, size, &format!("url(#{id})"));
    }

    /// The whole document.
    pub fn finish(self) -> String {
        let (width, height) = (number(self.size.x), number(self.size.y));
        format!(
            concat!(
                r#"<?xml version="1.0" encoding="UTF-8"?>"#,
                "\n",
                r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" "#,
                r#"viewBox="0 0 {width} {height}" font-family="sans-serif">"#,
                "\n{body}</svg>\n"
            ),
            width = width,
            height = height,
            body = self.body
        )
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.body, "{element}");
    }
}

/// `image` as the bytes of a PNG file, compressed for size rather than speed.
pub fn png(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive);
    image
        .write_with_encoder(encoder)
        .map_err(|error| Error::image("write PNG", "an image that PNG can hold", error.to_string()).caused_by(error))?;
    Ok(bytes)
}

/// `value` with at most two decimals and without trailing zeros.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `text` with all characters replaced that XML cannot hold, whatever the name of a file contains.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_document() {
        let name = "<b>&\"quoted\"\u{1}\n";
        let mut svg = Svg::new(DVec2::new(10.0, 20.0), name);
        svg.text(DVec2::new(1.0, 2.5), Text::new(9.0, Anchor::End).bold().upwards(), name);
        let text = svg.finish();
        assert!(!text.contains("<b>") && text.contains("&lt;b&gt;&amp;&quot;quoted&quot;"), "{text}");
        assert_eq!(text.matches("</text>").count(), 1);
        assert!(text.contains(r#"width="10" height="20""#), "{text}");
    }

    #[test]
    fn long_texts_are_cut() {
        let style = Text::new(10.0, Anchor::Start);
        assert_eq!(style.fit("short", 100.0), "short");
        let cut = style.fit(&"long".repeat(20), 100.0);
        assert!(cut.ends_with('…') && style.width(&cut) <= 100.0, "{cut}");
        assert_eq!(style.fit("no room", 0.0), "…");
        assert_eq!(style.wrap("as many words as fit", 62.0), ["as many", "words as", "fit"]);
        assert_eq!(style.wrap(&format!("a {}", "long".repeat(20)), 100.0), ["a".to_owned(), cut]);
        assert!(style.wrap("", 62.0).is_empty());
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 1.0, 0.5, 1.005, 12.25, 100.0].map(number), ["0", "1", "0.5", "1", "12.25", "100"]);
    }
}
