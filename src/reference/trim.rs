//! Reference of `head/trim.wgsl`.

/// The first `columns` elements of each row of `padded` [rows, stride].
pub fn trim(padded: &[f32], stride: usize, columns: usize) -> Vec<f32> {
    padded.chunks_exact(stride).flat_map(|row| &row[..columns]).copied().collect()
}
