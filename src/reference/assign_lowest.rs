//! Reference of `condense/assign_lowest.wgsl`.

use std::cmp::Ordering;

use super::top_k::descending;
use crate::kernels::assign_lowest::Params;

/// From scores [B, N] and the order [B, N] of `top_k`: for each of the R dropped tokens the kept token with the lowest
/// score, the dropped token's score, and the kept token's score, [B, R] each.
pub fn assign_lowest(score: &[f32], order: &[u32], params: &Params) -> (Vec<u32>, Vec<f32>, Vec<f32>) {
    let patches = params.patches as usize;
    let mut result = (Vec::new(), Vec::new(), Vec::new());
    for (score, order) in score.chunks_exact(patches).zip(order.chunks_exact(patches)) {
        let (kept, dropped) = order.split_at(patches - params.dropped as usize);
        let lowest = kept.iter().copied().min_by(|&a, &b| {
            // The last in descending order; among equal scores the one with the lower index.
            let ranked: Ordering = descending(score[b as usize], score[a as usize]);
            ranked.then(a.cmp(&b))
        });
        if let Some(lowest) = lowest {
            for &token in dropped {
                result.0.push(lowest);
                result.1.push(score[token as usize]);
                result.2.push(score[lowest as usize]);
            }
        }
    }
    result
}
