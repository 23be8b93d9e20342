//! Reference of `embed/assemble.wgsl`.

/// The prefix tokens [E, D], then `projected` [B, N, D] plus `position` [N, D], for each image: [B, E + N, D].
pub fn assemble(projected: &[f32], prefix: &[f32], position: &[f32]) -> Vec<f32> {
    let mut tokens = Vec::new();
    for image in projected.chunks_exact(position.len()) {
        tokens.extend_from_slice(prefix);
        tokens.extend(image.iter().zip(position).map(|(x, p)| x + p));
    }
    tokens
}
