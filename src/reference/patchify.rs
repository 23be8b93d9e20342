//! Reference of `embed/patchify.wgsl`.

/// `pixels` [B, C, height, width] as rows [B, N, stride]: each patch's pixels in the order channel, y, x, then zeros.
pub fn patchify(pixels: &[f32], channels: usize, [height, width]: [usize; 2], patch: usize, stride: usize) -> Vec<f32> {
    let (down, across) = (height / patch, width / patch);
    let mut rows = Vec::new();
    for image in pixels.chunks_exact(channels * height * width) {
        for token in 0..down * across {
            let (top, left) = (token / across * patch, token % across * patch);
            let mut row = Vec::with_capacity(stride);
            for channel in image.chunks_exact(height * width) {
                for y in top..top + patch {
                    row.extend_from_slice(&channel[y * width + left..y * width + left + patch]);
                }
            }
            row.resize(stride, 0.0);
            rows.extend(row);
        }
    }
    rows
}
