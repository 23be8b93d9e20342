//! Twin of `condense/score.wgsl`.

use crate::kernels::score::Terms;

/// Eq. 11 for each image of `patches` tokens.
pub fn score(c: &[f32], dominance: &[f32], patches: usize, beta: f32, scale: f32, terms: Terms) -> Vec<f32> {
    let mut score = Vec::with_capacity(c.len());
    for (c, dominance) in c.chunks_exact(patches).zip(dominance.chunks_exact(patches)) {
        let sum: f64 = c.iter().map(|&v| f64::from(v)).sum();
        let factor = if terms.normalise { 1.0 / sum } else { f64::from(scale) };
        score.extend(c.iter().zip(dominance).map(|(&c, &d)| {
            let connectivity = if terms.connectivity { -f64::from(c) * factor } else { 0.0 };
            let weight = if terms.connectivity { f64::from(beta) } else { 1.0 };
            let dominance = if terms.dominance { weight * f64::from(d) } else { 0.0 };
            (connectivity + dominance) as f32
        }));
    }
    score
}
