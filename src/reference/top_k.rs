//! Reference of `condense/top_k.wgsl`.

use std::cmp::Ordering;

use crate::kernels::top_k::{DROPPED, Listing};

/// For each image of `patches` scores: the indices of the kept and then of the dropped tokens, each in the order of
/// `listing`; and each token's place among the kept ones, or [`DROPPED`]. Ties go to the lower index, and NaN ranks
/// last.
pub fn top_k(score: &[f32], patches: usize, kept: usize, listing: Listing) -> (Vec<u32>, Vec<u32>) {
    let (mut order, mut slots) = (Vec::new(), Vec::new());
    for score in score.chunks_exact(patches) {
        let mut ranked: Vec<usize> = (0..patches).collect();
        // A stable sort keeps equal scores in index order.
        ranked.sort_by(|&a, &b| descending(score[a], score[b]));
        let (stay, go) = ranked.split_at_mut(kept);
        let place = |token: &usize| match listing {
            Listing::Ascending => (false, *token),
            Listing::ParityFirst(parity) => (*token as u32 % 2 != parity, *token),
        };
        stay.sort_unstable_by_key(place);
        go.sort_unstable_by_key(place);
        let mut slot = vec![DROPPED; patches];
        for (place, &token) in stay.iter().enumerate() {
            slot[token] = place as u32;
        }
        order.extend(stay.iter().chain(go.iter()).map(|&token| token as u32));
        slots.extend(slot);
    }
    (order, slots)
}

/// Larger numbers first, NaN last; both zeros are equal.
pub(super) fn descending(a: f32, b: f32) -> Ordering {
    b.partial_cmp(&a).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}
