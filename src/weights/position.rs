//! Resizes the position embedding for another image size, as timm does when it builds a model for one: bicubic with
//! antialiasing, in f32, with the rows of prefix tokens unchanged.

use super::Source;
use crate::config::VitConfig;
use crate::error::Result;

/// The tensors of a model with a grid of `from` patches, for a model with a grid of `to` patches.
pub(crate) struct Resized<'a> {
    source: Box<dyn Source + 'a>,
    /// Rows of the prefix, which are not resized.
    prefix: usize,
    /// Rows and columns of patches, before and after.
    from: [usize; 2],
    to: [usize; 2],
}

impl<'a> Resized<'a> {
    /// `source` has the tensors of `stored`. The tensors taken from the result fit the image of `config`.
    pub(crate) fn new(source: Box<dyn Source + 'a>, stored: &VitConfig, config: &VitConfig) -> Self {
        Self { source, prefix: stored.positioned_prefix(), from: stored.grid(), to: config.grid() }
    }
}

impl Source for Resized<'_> {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        match shape {
            &[one, _, width] if name == "pos_embed" && self.from != self.to => {
                let rows = self.source.take(name, &[one, self.prefix + self.from[0] * self.from[1], width])?;
                let (prefix, patches) = rows.split_at(self.prefix * width);
                Ok([prefix, &resize(patches, self.from, self.to, width)].concat())
            }
            _ => self.source.take(name, shape),
        }
    }

    fn ignore(&mut self, name: &str) {
        self.source.ignore(name);
    }

    fn finish(&mut self) -> Result<()> {
        self.source.finish()
    }
}

/// Resizes a grid of rows [from[0] * from[1], width] to [to[0] * to[1], width].
fn resize(rows: &[f32], from: [usize; 2], to: [usize; 2], width: usize) -> Vec<f32> {
    // [from[0], to[1], width]: x is resized first, as in torch.
    let mut across = Vec::with_capacity(from[0] * to[1] * width);
    let columns = windows(from[1], to[1]);
    for line in rows.chunks_exact(from[1] * width) {
        for window in &columns {
            blend(&mut across, line, width, window);
        }
    }
    let mut resized = Vec::with_capacity(to[0] * to[1] * width);
    for window in &windows(from[0], to[0]) {
        blend(&mut resized, &across, to[1] * width, window);
    }
    resized
}

/// Appends a weighted sum of rows of `length` elements to `out`.
fn blend(out: &mut Vec<f32>, rows: &[f32], length: usize, (first, weights): &(usize, Vec<f32>)) {
    let start = out.len();
    out.resize(start + length, 0.0);
    for (row, weight) in rows.chunks_exact(length).skip(*first).zip(weights) {
        out[start..].iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
    }
}

/// For every place along the new side, the first of the old places that it is computed from, and their weights.
fn windows(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = from as f64 / to as f64;
    // When a side is reduced, the filter is widened by the ratio, so that every old place contributes.
    let stretch = scale.max(1.0);
    let support = 2.0 * stretch;
    (0..to)
        .map(|place| {
            let centre = (place as f64 + 0.5) * scale;
            // `as` converts a negative number to 0.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let weights: Vec<f64> = (first..end).map(|at| cubic((at as f64 - centre + 0.5) / stretch)).collect();
            let sum: f64 = weights.iter().sum();
            (first, weights.iter().map(|weight| (weight / sum) as f32).collect())
        })
        .collect()
}

/// Cubic convolution with a = -0.5. torch uses this when it antialiases, and -0.75 when it does not.
fn cubic(distance: f64) -> f64 {
    let x = distance.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The results of timm's `resample_abs_pos_embed` for the same numbers, printed by Python.
    #[test]
    #[allow(clippy::excessive_precision, reason = "the digits that torch prints")]
    fn values_are_torchs() {
        let rows: Vec<f32> = (1u8..17).flat_map(|i| [f32::from(i * 7 % 11), f32::from(i * 5 % 13)]).collect();
        let halved = [5.505822, 7.804846, 5.3642, 4.985708, 5.901014, 5.921573, 3.911157, 5.9784];
        let grown = [7.639715, 4.154261, 4.651703, 7.81579, 3.307902, 9.599902, 9.576055, 2.334308, 8.665634, 4.118422];
        for (to, expected) in [(2, &halved[..]), (6, &grown)] {
            let resized = resize(&rows, [4; 2], [to; 2], 2);
            assert_eq!(resized.len(), to * to * 2);
            for (got, expected) in resized.iter().zip(expected) {
                assert!((got - expected).abs() <= 1e-5, "{got} for {expected}");
            }
        }
    }
}
