//! The number formats of buffers. Arithmetic is f32 everywhere; only numbers in memory may be narrower.

use std::fmt;
use std::str::FromStr;

use super::{Home, Tile};
use crate::error::Error;

/// How weights and activations are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 4 bytes for each number.
    #[default]
    F32,
    /// 2 bytes for each number: IEEE binary16, rounded to nearest, with 11 significant bits and at most 65,504.
    F16,
}

impl Precision {
    /// Every precision.
    pub const ALL: [Self; 2] = [Self::F32, Self::F16];

    /// The name that [`FromStr`] reads: `f32` or `f16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }

    /// How many 4-byte words hold `len` numbers.
    pub fn words(self, len: usize) -> usize {
        match self {
            Self::F32 => len,
            Self::F16 => len.div_ceil(2),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|precision| precision.name() == text)
            .ok_or_else(|| Error::config("precision", "f32 or f16", text))
    }
}

/// The types that a kernel reads and writes, if it supports several. They decide which of `shared/input_*.wgsl` and
/// `shared/output_*.wgsl` the lines `#import shared/input.wgsl` and `#import shared/output.wgsl` stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Types {
    /// Precision of the numbers read.
    pub input: Precision,
    /// Precision of the numbers written.
    pub output: Precision,
    /// Shape of cooperative matrices.
    pub tile: Tile,
    /// Where weights lie.
    pub home: Home,
    /// Whether cooperative matrices of f32 may be stored to vec4s.
    pub direct: bool,
    /// Whether the driver's `pack2x16float` rounds to nearest. Otherwise numbers are rounded before they are packed.
    pub rounding: bool,
}

impl Types {
    /// Every pair of input and output precision.
    pub const ALL: [Self; 4] = [
        Self::new(Precision::F32, Precision::F32),
        Self::new(Precision::F16, Precision::F32),
        Self::new(Precision::F32, Precision::F16),
        Self::new(Precision::F16, Precision::F16),
    ];

    /// Reads `input` and writes `output`.
    pub const fn new(input: Precision, output: Precision) -> Self {
        Self { input, output, tile: Tile::Eight, home: Home::Buffer, direct: false, rounding: false }
    }

    /// The same types with cooperative matrices of shape `tile`.
    pub const fn tiled(self, tile: Tile) -> Self {
        Self { tile, ..self }
    }

    /// The same types with sums stored to vec4s, if `direct`.
    pub const fn stored(self, direct: bool) -> Self {
        Self { direct, ..self }
    }

    /// The same types for a driver that rounds to nearest itself, if `rounding`.
    pub const fn packed(self, rounding: bool) -> Self {
        Self { rounding, ..self }
    }

    /// The same types with the weights in `home`.
    pub const fn at(self, home: Home) -> Self {
        Self { home, ..self }
    }

    /// The file that the import `path` stands for.
    pub(super) fn resolve(self, path: &str) -> &str {
        match (path, self.input, self.output) {
            ("shared/input.wgsl", Precision::F32, _) => "shared/input_f32.wgsl",
            ("shared/input.wgsl", Precision::F16, _) => "shared/input_f16.wgsl",
            ("shared/output.wgsl", _, Precision::F32) => "shared/output_f32.wgsl",
            ("shared/output.wgsl", _, Precision::F16) => "shared/output_f16.wgsl",
            ("shared/pack.wgsl", ..) if self.rounding => "shared/pack_rounding.wgsl",
            ("shared/pack.wgsl", ..) => "shared/pack_cutting.wgsl",
            ("shared/cooperative.wgsl", ..) => match self.tile {
                Tile::Eight => "shared/cooperative_8.wgsl",
                Tile::Sixteen => "shared/cooperative_16.wgsl",
            },
            ("shared/sums.wgsl", _, Precision::F32) if self.direct => "shared/sums_direct.wgsl",
            ("shared/sums.wgsl", ..) => "shared/sums_staged.wgsl",
            ("cpu/weights.wgsl", ..) => self.home.of("cpu/weights_buffer.wgsl", "cpu/weights_texture.wgsl"),
            (path, ..) => path,
        }
    }
}

impl fmt::Display for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.input, self.output)?;
        if self.home == Home::Texture {
            f.write_str(" texture")?;
        }
        if self.tile != Tile::default() {
            write!(f, " by {}", self.tile.side())?;
        }
        f.write_str(if self.direct { " direct" } else { "" })
    }
}
