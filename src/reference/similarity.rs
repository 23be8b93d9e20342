//! Reference of `condense/similarity.wgsl`.

use crate::kernels::similarity::{Kind, Params};

/// y [B, N, N] for tokens x [B, E + N, D].
pub fn similarity(x: &[f32], params: &Params, kind: Kind) -> Vec<f32> {
    let (prefix, patches, width) = (params.prefix as usize, params.patches as usize, params.width4 as usize * 4);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let mut y = Vec::new();
    for image in x.chunks_exact((prefix + patches) * width) {
        let tokens: Vec<&[f32]> = image.chunks_exact(width).skip(prefix).collect();
        for a in &tokens {
            y.extend(tokens.iter().map(|b| match kind {
                Kind::Dot => dot(a, b) as f32,
                Kind::Distance => {
                    let squares = a.iter().zip(*b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
                    -squares.sum::<f64>().sqrt() as f32
                }
            }));
        }
    }
    y
}
