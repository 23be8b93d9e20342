//! How the rows of W lie in memory.

/// The rows of a matrix [N, N] lie `stride` elements apart, and their first column lies `shift` elements after the
/// start of a row. Elements outside the columns are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Elements from one row to the next.
    pub stride: u32,
    /// Elements before the first column.
    pub shift: u32,
}

impl Layout {
    /// [N, N] without padding.
    pub fn packed(patches: usize) -> Self {
        Self { stride: patches as u32, shift: 0 }
    }

    /// Rows of whole vec4s. A patch token has the same place among the four of its vec4 as it has among all tokens,
    /// prefix included. So results for four neighbouring tokens are written, and read, as one vec4.
    pub fn padded(prefix: usize, patches: usize) -> Self {
        let before = prefix / 4 * 4;
        Self { stride: ((prefix + patches).next_multiple_of(4) - before) as u32, shift: (prefix - before) as u32 }
    }

    /// Whether every row is a whole number of vec4s.
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
