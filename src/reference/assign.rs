//! Reference of `condense/assign.wgsl`.

use super::top_k::descending;
use crate::condensation::Chain;
use crate::kernels::assign::Candidates;
use crate::kernels::top_k::DROPPED;

/// For each of the R `rows` of C of an image, [B, R, N]: the kept candidate with the largest element, and that element.
/// `slot` is [B, N].
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
            // `min_by` returns the first of equal elements, which has the lower index.
            if let Some(best) = kept.min_by(|&a, &b| descending(row[a], row[b])) {
                result.0.push(best as u32);
                result.1.push(row[best]);
            }
        }
    }
    result
}

/// Rows [B, R, N] of C for the tokens that `order` [B, N] lists last, where C = W or C = W + a W^2. They have the
/// kernel's scale: C is divided by s^(K-1), with s = max(a, 1).
pub fn dropped_rows(w: &[f32], order: &[u32], patches: usize, dropped: usize, chain: Chain) -> Vec<f32> {
    let mut rows = Vec::new();
    for (w, order) in w.chunks_exact(patches * patches).zip(order.chunks_exact(patches)) {
        for &q in &order[patches - dropped..] {
            rows.extend(row(w, q as usize, patches, chain).into_iter().map(|c| c as f32));
        }
    }
    rows
}

/// C[p, p] [B, R] for each p in `assigned` [B, R], with C as for [`dropped_rows`].
pub fn diagonal(w: &[f32], assigned: &[u32], patches: usize, dropped: usize, chain: Chain) -> Vec<f32> {
    let images = w.chunks_exact(patches * patches).zip(assigned.chunks_exact(dropped));
    let element = |w, p: u32| row(w, p as usize, patches, chain)[p as usize] as f32;
    images.flat_map(|(w, assigned)| assigned.iter().map(move |&p| element(w, p))).collect()
}

fn row(w: &[f32], q: usize, patches: usize, chain: Chain) -> Vec<f64> {
    let own: Vec<f64> = w[q * patches..][..patches].iter().map(|&v| f64::from(v)).collect();
    if chain.order == 1 {
        return own;
    }
    let (alpha, scale) = (f64::from(chain.alpha), f64::from(chain.alpha).max(1.0));
    let mut product = vec![0.0; patches];
    for (factor, line) in own.iter().zip(w.chunks_exact(patches)) {
        for (out, &value) in product.iter_mut().zip(line) {
            *out += factor * f64::from(value);
        }
    }
    own.iter().zip(product).map(|(own, product)| (own + alpha * product) / scale).collect()
}
