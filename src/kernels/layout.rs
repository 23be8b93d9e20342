//! How the rows of W lie in memory.

/// Rows of a matrix [N, N], `stride` elements apart, their first column `shift` elements behind where a row begins. What
/// lies around the columns is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Elements from one row to the next.
    pub stride: u32,
    /// Elements before the first column.
    pub shift: u32,
}

impl Layout {
    /// [N, N] with nothing in between.
    pub fn packed(patches: usize) -> Self {
        Self { stride: patches as u32, shift: 0 }
    }

    /// Rows of whole vec4s, in which a patch token has the place among its vec4's four that it has among all tokens, prefix
    /// included: what is found four tokens at a time is written, and read, as a vec4.
    pub fn padded(prefix: usize, patches: usize) -> Self {
        let before = prefix / 4 * 4;
        Self { stride: ((prefix + patches).next_multiple_of(4) - before) as u32, shift: (prefix - before) as u32 }
    }

    /// Whether every row is of whole vec4s.
    pub fn aligned(self) -> bool {
        self.stride.is_multiple_of(4)
    }

    /// Elements of `rows` rows.
    pub fn elements(self, rows: usize) -> usize {
        rows * self.stride as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Layout;

    #[test]
    fn a_padded_row_holds_its_columns_at_the_places_of_their_tokens() {
        for prefix in 1..10 {
            for patches in 1..70 {
                let Layout { stride, shift } = Layout::padded(prefix, patches);
                assert_eq!((stride % 4, shift as usize % 4), (0, prefix % 4));
                assert!((shift as usize + patches..shift as usize + patches + 4).contains(&(stride as usize)));
            }
        }
        assert_eq!(Layout::padded(1, 196), Layout { stride: 200, shift: 1 });
        assert_eq!(Layout::padded(4, 196), Layout { stride: 196, shift: 0 });
    }
}
