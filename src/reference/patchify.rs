//! Twin of `embed/patchify.wgsl`.

/// `pixels` [B, C, side, side] to rows [B, N, stride], each patch's pixels in the order channel, y, x, then zeros.
pub fn patchify(pixels: &[f32], channels: usize, side: usize, patch: usize, stride: usize) -> Vec<f32> {
    let across = side / patch;
    let mut rows = Vec::new();
    for image in pixels.chunks_exact(channels * side * side) {
        for token in 0..across * across {
            let (top, left) = (token / across * patch, token % across * patch);
            let mut row = Vec::with_capacity(stride);
            for channel in image.chunks_exact(side * side) {
                for y in top..top + patch {
                    row.extend_from_slice(&channel[y * side + left..y * side + left + patch]);
                }
            }
            row.resize(stride, 0.0);
            rows.extend(row);
        }
    }
    rows
}
