//! Reference of `condense/score.wgsl`.

use crate::condensation::Chain;
use crate::kernels::score::Terms;

/// Eq. 11 for each image of `patches` tokens. `c` and `dominance` are [B, N].
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

/// c [B, N], the mean over rows of C = W or C = W + a W^2, at the kernel's scale: divided by s^(K-1), with s = max(a,
/// 1).
pub fn column_mean(w: &[f32], patches: usize, chain: Chain) -> Vec<f32> {
    let (alpha, scale) = (f64::from(chain.alpha), f64::from(chain.alpha).max(1.0));
    let mut means = Vec::new();
    for w in w.chunks_exact(patches * patches) {
        let column = |j: usize| w.iter().skip(j).step_by(patches).map(|&v| f64::from(v));
        let first: Vec<f64> = (0..patches).map(|j| column(j).sum::<f64>() / patches as f64).collect();
        let second = |j: usize| column(j).zip(&first).map(|(v, mean)| v * mean).sum::<f64>();
        means.extend((0..patches).map(|j| match chain.order {
            1 => first[j] as f32,
            _ => ((first[j] + alpha * second(j)) / scale) as f32,
        }));
    }
    means
}
