//! Pillow's resize, equal to the bit, but only for the pixels that a crop keeps: weights are rounded to 22 bits and
//! sums are integers. The width is resized first, rounded and clamped to bytes; then the height, rounded and clamped
//! again. Since the result is the same whether the crop comes before or after, the cost depends only on the image's own
//! pixels and the square's.

use image::RgbImage;

use super::Filter;

/// Fractional bits of a weight: of 32 bits, 8 are for the pixel's value and 2 are room for overshoot.
const BITS: u32 = 22;
/// The addend with which a shift by [`BITS`] rounds to nearest.
const HALF: i32 = 1 << (BITS - 1);

/// One axis of a resize and crop: `source` pixels are resized to `resized`, of which `len` pixels from `first` on are
/// kept. All but `first` are at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) source: usize,
    pub(super) resized: usize,
    pub(super) first: usize,
    pub(super) len: usize,
}

impl Axis {
    /// Source pixels per resized pixel.
    pub(super) fn scale(&self) -> f64 {
        self.source as f64 / self.resized as f64
    }

    /// The source pixel that is nearest to each kept one.
    fn nearest(&self) -> Vec<usize> {
        // Centres are summed step by step, as in Pillow: when a centre falls between two pixels, the rounding of the
        // sum decides.
        let mut centre = self.scale() * 0.5;
        let mut columns = Vec::with_capacity(self.len);
        for column in 0..self.first + self.len {
            if column >= self.first {
                columns.push((centre as usize).min(self.source - 1));
            }
            centre += self.scale();
        }
        columns
    }
}

/// The source pixels from which one output pixel is computed.
struct Window {
    first: usize,
    weights: std::ops::Range<usize>,
}

/// The weights of every output pixel of an axis, in units of 2^-BITS.
pub(super) struct Windows {
    windows: Vec<Window>,
    values: Vec<i32>,
}

impl Windows {
    /// The windows of [`Filter::Nearest`]: the nearest source pixel for each output pixel.
    pub(super) fn nearest(axis: &Axis) -> Self {
        let window = |(at, first)| Window { first, weights: at..at + 1 };
        Self {
            windows: axis.nearest().into_iter().enumerate().map(window).collect(),
            values: vec![1 << BITS; axis.len],
        }
    }

    /// The windows of any other filter.
    pub(super) fn new(axis: &Axis, filter: Filter) -> Self {
        let stretch = axis.scale().max(1.0);
        let (support, narrow) = (filter.support() * stretch, 1.0 / stretch);
        let (mut windows, mut values) = (Vec::with_capacity(axis.len), Vec::new());
        let mut weights = Vec::new();
        for column in axis.first..axis.first + axis.len {
            let centre = (column as f64 + 0.5) * axis.scale();
            // `as` converts a negative number to 0.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(axis.source);
            weights.clear();
            weights.extend((first..end).map(|x| filter.weight((x as f64 - centre + 0.5) * narrow)));
            let sum: f64 = weights.iter().sum();
            let start = values.len();
            values.extend(weights.iter().map(|weight| {
                let normal = weight / sum;
                (normal * f64::from(1 << BITS) + 0.5f64.copysign(normal)) as i32
            }));
            windows.push(Window { first, weights: start..values.len() });
        }
        Self { windows, values }
    }

    /// For every output pixel, the first source pixel and the weights.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.windows.iter().map(|window| (window.first, &self.values[window.weights.clone()]))
    }

    /// The source pixels that any window reads.
    pub(super) fn span(&self) -> std::ops::Range<usize> {
        let start = self.windows.iter().map(|window| window.first).min().unwrap_or(0);
        let end = self.windows.iter().map(|window| window.first + window.weights.len()).max().unwrap_or(0);
        start..end
    }
}

/// The kept part of the resized `image`, [y.len, x.len, 3].
pub(super) fn resample(image: &RgbImage, x: &Axis, y: &Axis, filter: Filter) -> Vec<u8> {
    let (source, stride) = (image.as_raw().as_slice(), x.source * 3);
    if filter == Filter::Nearest {
        let columns = x.nearest();
        let pick = |row| columns.iter().flat_map(move |column| &source[row * stride + column * 3..][..3]);
        return y.nearest().into_iter().flat_map(pick).copied().collect();
    }
    let (across, down) = (Windows::new(x, filter), Windows::new(y, filter));
    if height_first(x, y) {
        return resize_width(&resize_height(source, stride, &down, 0), stride, &across);
    }
    let rows = down.span();
    let middle = resize_width(&source[rows.start * stride..rows.end * stride], stride, &across);
    resize_height(&middle, x.len * 3, &down, rows.start)
}

/// Whether the height is resized first, as in Pillow 13 when that removes much more than resizing the width. Pillow
/// 12.0 never does so. The two orders round, and clamp overshoot, differently.
pub(super) fn height_first(x: &Axis, y: &Axis) -> bool {
    let removed = |axis: &Axis| axis.source as f64 - axis.resized as f64;
    removed(y) > 0.0 && removed(y) > 2.0 * removed(x)
}

/// Resizes every row of `source`, `stride` bytes each, to one pixel for each window.
fn resize_width(source: &[u8], stride: usize, windows: &Windows) -> Vec<u8> {
    let mut out = Vec::with_capacity(source.len() / stride * windows.windows.len() * 3);
    for row in source.chunks_exact(stride) {
        for (first, weights) in windows.iter() {
            let mut sums = [HALF; 3];
            for (pixel, weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(value) * weight;
                }
            }
            out.extend(sums.map(byte));
        }
    }
    out
}

/// Resizes all columns of `source`, `stride` bytes per row, to one row for each window. `source` begins at row `start`
/// of the image that the windows refer to.
fn resize_height(source: &[u8], stride: usize, windows: &Windows, start: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(windows.windows.len() * stride);
    let mut sums = vec![0; stride];
    for (first, weights) in windows.iter() {
        sums.fill(HALF);
        for (row, weight) in source[(first - start) * stride..].chunks_exact(stride).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        out.extend(sums.iter().copied().map(byte));
    }
    out
}

/// Converts a sum of pixels times weights, which started at [`HALF`], to a byte.
fn byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}
