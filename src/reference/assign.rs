//! Twin of `condense/assign.wgsl`.

use super::top_k::descending;
use crate::kernels::assign::Candidates;
use crate::kernels::top_k::DROPPED;

/// For each of R `rows` of C per image [B, R, N]: the kept candidate with the largest element, and that element.
pub fn assign(
    rows: &[f32],
    slot: &[u32],
    patches: usize,
    dropped: usize,
    candidates: Candidates,
) -> (Vec<u32>, Vec<f32>) {
    let mut result = (Vec::new(), Vec::new());
    for (rows, slot) in rows.chunks_exact(dropped * patches).zip(slot.chunks_exact(patches)) {
        for row in rows.chunks_exact(patches) {
            let allowed = |p: usize| match candidates {
                Candidates::Any => true,
                Candidates::Parity(parity) => p as u32 % 2 == parity,
            };
            let kept = (0..patches).filter(|&p| slot[p] != DROPPED && allowed(p));
            // `min_by` returns the first of equals: the lower index.
            if let Some(best) = kept.min_by(|&a, &b| descending(row[a], row[b])) {
                result.0.push(best as u32);
                result.1.push(row[best]);
            }
        }
    }
    result
}
