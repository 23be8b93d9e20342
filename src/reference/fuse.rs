//! Twin of `condense/fuse.wgsl`.

use crate::kernels::fuse::{Fusion, Params};

/// The kernel's inputs, as slices; shapes as in [`crate::kernels::fuse::Bindings`].
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// [B, E + N, D]
    pub tokens: &'a [f32],
    /// [B, E + N]
    pub sizes: &'a [f32],
    /// [B, N]
    pub order: &'a [u32],
    /// [B, R]
    pub assigned: &'a [u32],
    /// [B, R]
    pub connection: &'a [f32],
    /// [B, R]
    pub diagonal: &'a [f32],
}

/// Fused tokens [B, E + N - R, D] and their sizes.
pub fn fuse(inputs: &Inputs<'_>, params: &Params, fusion: Fusion) -> (Vec<f32>, Vec<f32>) {
    let (prefix, patches, dropped) = (params.prefix as usize, params.patches as usize, params.dropped as usize);
    let (width, kept) = (params.width4 as usize * 4, patches - dropped);
    let (mut fused, mut sizes) = (Vec::new(), Vec::new());
    for image in 0..params.images as usize {
        let incoming = image * (prefix + patches);
        let token = |t: usize| &inputs.tokens[(incoming + t) * width..][..width];
        let size = |t: usize| inputs.sizes[incoming + t];
        for t in 0..prefix {
            fused.extend_from_slice(token(t));
            sizes.push(size(t));
        }
        let order = &inputs.order[image * patches..][..patches];
        for &own in &order[..kept] {
            // (token, weight) of the kept token, then of its matches in ascending order.
            let mut members: Vec<(usize, f64)> = vec![(prefix + own as usize, 0.0)];
            for r in (0..dropped).filter(|_| fusion != Fusion::None) {
                let at = image * dropped + r;
                if inputs.assigned[at] == own {
                    let member = prefix + order[kept + r] as usize;
                    let by_size = fusion == Fusion::Size;
                    members[0].1 = f64::from(if by_size { size(members[0].0) } else { inputs.diagonal[at] });
                    members.push((member, f64::from(if by_size { size(member) } else { inputs.connection[at] })));
                }
            }
            let sum: f64 = members.iter().map(|m| m.1).sum();
            if fusion != Fusion::Sum && members.len() > 1 && (sum == 0.0 || !sum.is_finite()) {
                members.iter_mut().for_each(|m| m.1 = 1.0);
            } else if members.len() == 1 {
                members[0].1 = 1.0;
            }
            let divided = fusion != Fusion::Sum || members.len() == 1;
            let total = if divided { members.iter().map(|m| m.1).sum() } else { 1.0 };
            fused.extend((0..width).map(|e| {
                (members.iter().map(|&(t, weight)| f64::from(token(t)[e]) * weight).sum::<f64>() / total) as f32
            }));
            sizes.push(members.iter().map(|&(t, _)| size(t)).sum());
        }
    }
    (fused, sizes)
}
