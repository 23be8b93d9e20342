//! Reference of `condense/fuse.wgsl`.

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

/// The result of a fusion.
#[derive(Clone, Debug)]
pub struct Fused {
    /// [B, E + N, D]: the tokens; those with assigned tokens are replaced by the fused ones
    pub tokens: Vec<f32>,
    /// [B, E + N - R]: sizes of the tokens that go on
    pub sizes: Vec<f32>,
    /// [B, E + N - R]: the rows where these tokens lie
    pub rows: Vec<u32>,
}

/// Fuses the dropped tokens, and lists the tokens that go on.
pub fn fuse(inputs: &Inputs<'_>, params: &Params, fusion: Fusion) -> Fused {
    let (prefix, patches, dropped) = (params.prefix as usize, params.patches as usize, params.dropped as usize);
    let (width, kept) = (params.width4 as usize * 4, patches - dropped);
    let mut fused = Fused { tokens: inputs.tokens.to_vec(), sizes: Vec::new(), rows: Vec::new() };
    for image in 0..params.images as usize {
        let incoming = image * (prefix + patches);
        let token = |t: usize| &inputs.tokens[(incoming + t) * width..][..width];
        let size = |t: usize| inputs.sizes[incoming + t];
        for t in 0..prefix {
            fused.rows.push((incoming + t) as u32);
            fused.sizes.push(size(t));
        }
        let order = &inputs.order[image * patches..][..patches];
        for &own in &order[..kept] {
            let row = incoming + prefix + own as usize;
            // (token, weight) of the kept token, then of the dropped tokens assigned to it, in ascending order.
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
            fused.rows.push(row as u32);
            fused.sizes.push(members.iter().map(|&(t, _)| size(t)).sum());
            if members.len() == 1 {
                continue;
            }
            let sum: f64 = members.iter().map(|m| m.1).sum();
            if fusion != Fusion::Sum && (sum == 0.0 || !sum.is_finite()) {
                members.iter_mut().for_each(|m| m.1 = 1.0);
            }
            let total = if fusion == Fusion::Sum { 1.0 } else { members.iter().map(|m| m.1).sum() };
            for (e, out) in fused.tokens[row * width..][..width].iter_mut().enumerate() {
                *out = (members.iter().map(|&(t, weight)| f64::from(token(t)[e]) * weight).sum::<f64>() / total) as f32;
            }
        }
    }
    fused
}
