//! Reference of `condense/bipartite.wgsl`.

use crate::kernels::bipartite::{Params, STAYS};

/// S [B, N] from cosines [B, N, N].
pub fn bipartite(cosine: &[f32], params: &Params) -> Vec<f32> {
    let (patches, first) = (params.patches as usize, params.first as usize);
    let row = |(index, row): (usize, &[f32])| match index % patches % 2 == first {
        true => -row.iter().skip(1 - first).step_by(2).fold(-STAYS, |nearest, &cosine| nearest.max(cosine)),
        false => STAYS,
    };
    cosine.chunks_exact(patches).enumerate().map(row).collect()
}
