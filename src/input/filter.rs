//! The resampling filters, named and defined as in Pillow.

use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// How a resized pixel is computed from the source pixels around it. When an image is reduced, all filters but
/// [`Filter::Nearest`] are widened by the ratio, so that every source pixel contributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Filter {
    /// The one source pixel that contains the centre of the output pixel.
    Nearest,
    /// The mean of the pixels that the output pixel covers.
    Box,
    /// A triangle, 1 pixel to each side.
    Bilinear,
    /// A Hamming-windowed sinc, 1 pixel to each side.
    Hamming,
    /// Cubic convolution with a = -0.5 (Catmull-Rom), 2 pixels to each side.
    #[default]
    Bicubic,
    /// A Lanczos-windowed sinc, 3 pixels to each side.
    Lanczos,
}

/// Every filter with the name that timm's configurations use for it.
const NAMES: [(Filter, &str); 6] = [
    (Filter::Nearest, "nearest"),
    (Filter::Box, "box"),
    (Filter::Bilinear, "bilinear"),
    (Filter::Hamming, "hamming"),
    (Filter::Bicubic, "bicubic"),
    (Filter::Lanczos, "lanczos"),
];

impl Filter {
    /// How far the filter reaches to each side, in pixels of the larger of the two scales; 0 for `Nearest`.
    pub fn support(self) -> f64 {
        match self {
            Filter::Nearest => 0.0,
            Filter::Box => 0.5,
            Filter::Bilinear | Filter::Hamming => 1.0,
            Filter::Bicubic => 2.0,
            Filter::Lanczos => 3.0,
        }
    }

    /// The weight, before normalisation, of a pixel at `distance` from the centre, in pixels of the larger of the two
    /// scales. Zero from [`Filter::support`] on.
    pub fn weight(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            // The interval is open on one side, so that a pixel between two output pixels belongs to one of them only.
            Filter::Box => f64::from(u8::from(distance > -0.5 && distance <= 0.5)),
            Filter::Bilinear => (1.0 - x).max(0.0),
            // Pillow's constants have single precision.
            Filter::Hamming if x < 1.0 => sinc(x) * (f64::from(0.54f32) + f64::from(0.46f32) * (PI * x).cos()),
            Filter::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5,
            Filter::Lanczos if x < 3.0 => sinc(x) * sinc(x / 3.0),
            _ => 0.0,
        }
    }
}

/// sin(pi x) / (pi x)
fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

impl FromStr for Filter {
    type Err = Error;

    /// Reads timm's `interpolation`: `nearest`, `box`, `bilinear`, `hamming`, `bicubic` or `lanczos`.
    ///
    /// # Errors
    /// [`Error::Config`] for any other name.
    fn from_str(name: &str) -> Result<Self> {
        let found = NAMES.into_iter().find(|(_, known)| name.eq_ignore_ascii_case(known));
        found.map(|(filter, _)| filter).ok_or_else(|| {
            let known = NAMES.map(|(_, name)| name).join(", ");
            Error::config("interpolation", format!("one of {known}"), format!("{name:?}"))
        })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.into_iter().find(|(filter, _)| filter == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}
