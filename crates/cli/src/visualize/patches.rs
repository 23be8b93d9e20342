//! The three rows of the paper's Figure 4, as images of the size of the model's input.

use image::{Rgb, RgbImage};
use tcvit::BlockProvenance;
use tcvit::trace::PRUNED;

const WHITE: Rgb<u8> = Rgb([255; 3]);

/// A row of images, which says what each patch shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// The patch itself if it represents a token, white otherwise.
    Kept,
    /// The patch that represents this patch's token.
    Representative,
    /// The mean, pixel by pixel, of all patches that are part of this patch's token.
    Fused,
}

impl Row {
    pub const ALL: [Self; 3] = [Self::Kept, Self::Representative, Self::Fused];

    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept tokens",
            Self::Representative => "representative",
            Self::Fused => "fused",
        }
    }
}

/// Draws `row` after a block. `seen` is a square of patches of `side` pixels. Patches whose token was pruned are white.
pub fn draw(row: Row, seen: &RgbImage, side: u32, after: &BlockProvenance, image: usize) -> RgbImage {
    let (tokens, representatives) = (after.tokens_of(image), after.representatives_of(image));
    let across = seen.width() / side;
    let corner = |patch: u32| (patch % across * side, patch / across * side);
    let mut drawn = RgbImage::from_pixel(seen.width(), seen.height(), WHITE);
    let means = if row == Row::Fused { means(seen, side, after, image) } else { Vec::new() };
    for (patch, &token) in (0u32..).zip(tokens) {
        if token == PRUNED || (row == Row::Kept && representatives[token as usize] != patch) {
            continue;
        }
        let (to, from) = (corner(patch), corner(representatives[token as usize]));
        for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
            let pixel = match row {
                Row::Fused => means[((token * side + y) * side + x) as usize],
                _ => *seen.get_pixel(from.0 + x, from.1 + y),
            };
            drawn.put_pixel(to.0 + x, to.1 + y, pixel);
        }
    }
    drawn
}

/// The mean patch of every token, [T', side, side].
fn means(seen: &RgbImage, side: u32, after: &BlockProvenance, image: usize) -> Vec<Rgb<u8>> {
    let across = seen.width() / side;
    let each = (side * side) as usize;
    let mut sums = vec![[0u64; 3]; after.tokens * each];
    for (patch, &token) in (0u32..).zip(after.tokens_of(image)).filter(|&(_, &token)| token != PRUNED) {
        let (left, top) = (patch % across * side, patch / across * side);
        for (at, sum) in (0u32..).zip(&mut sums[token as usize * each..][..each]) {
            let pixel = seen.get_pixel(left + at % side, top + at / side);
            sum.iter_mut().zip(pixel.0).for_each(|(sum, value)| *sum += u64::from(value));
        }
    }
    let sizes = after.sizes_of(image);
    let mean = |(at, sum): (usize, &[u64; 3])| {
        let size = sizes[at / each].max(1) as u64;
        Rgb(sum.map(|sum| ((sum + size / 2) / size) as u8))
    };
    sums.iter().enumerate().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four patches of 2 x 2 pixels. Patches 0 and 3 are one token, which 3 represents. Patch 1 is pruned, and 2 is its
    /// own token.
    fn example(row: Row) -> RgbImage {
        let seen = RgbImage::from_fn(4, 4, |x, y| Rgb([(10 * x) as u8, (20 * y) as u8, 7]));
        let after = BlockProvenance { patches: 4, tokens: 2, token: vec![1, PRUNED, 0, 1], representative: vec![2, 3] };
        draw(row, &seen, 2, &after, 0)
    }

    #[test]
    fn rows_show_what_they_say() {
        let at = |row, x, y| example(row).get_pixel(x, y).0;
        // Patch 3 starts at (2, 2), patch 0 at (0, 0).
        assert_eq!((at(Row::Kept, 3, 2), at(Row::Kept, 0, 0)), ([30, 40, 7], [255; 3]));
        assert_eq!((at(Row::Representative, 1, 0), at(Row::Representative, 3, 2)), ([30, 40, 7], [30, 40, 7]));
        assert_eq!((at(Row::Fused, 1, 0), at(Row::Fused, 3, 2)), ([20, 20, 7], [20, 20, 7]));
        for row in Row::ALL {
            assert_eq!(at(row, 2, 1), [255; 3], "{row:?}: pruned");
            assert_eq!(at(row, 1, 3), [10, 60, 7], "{row:?}: untouched");
        }
    }
}
