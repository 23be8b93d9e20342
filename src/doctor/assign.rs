//! Check of `condense/assign.wgsl`, on distinct connections and on connections with ties, NaN, infinities and both zeros.
//! Where a parity is kept, also among its tokens alone. A choice and a copy: no tolerance.

use super::data::{connectivity, kept, selection, unset};
use super::{Check, Difference, at_most, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::assign::{Bindings, Candidates, Params, record};
use crate::random::Random;
use crate::reference::assign::assign;

pub(super) const CHECK: Check = Check {
    kernel: "assign",
    dimensions: "images, patches, dropped",
    sizes: &[&[1, 2, 1], &[3, 7, 6], &[2, 64, 16], &[2, 196, 14]],
    compare,
};

fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches, dropped] = dimensions(size)?;
    at_most("dropped", dropped, patches - 1)?;
    let matches = images * dropped;
    let mut random = Random::named("assign", seed);
    let (_, slot) = selection(&mut random, images, patches, dropped);
    let distinct = connectivity(&mut random, images, patches)
        .chunks_exact(patches * patches)
        .flat_map(|image| &image[..dropped * patches])
        .copied()
        .collect();
    let awkward = (0..matches * patches)
        .map(|_| match random.below(16) {
            0..8 => f32::NAN,
            8 => f32::NEG_INFINITY,
            9 => 0.0,
            10 => -0.0,
            // Rare, or every row would have several.
            11 if random.below(patches) == 0 => f32::INFINITY,
            _ => random.below(4) as f32 - 2.0,
        })
        .collect();
    let mut worst = Difference::NONE;
    let mut variants = vec![Candidates::Any];
    for parity in [0, 1] {
        let kept = |slot: &[u32]| kept(slot).iter().any(|token| *token as u32 % 2 == parity);
        if slot.chunks_exact(patches).all(kept) {
            variants.push(Candidates::Parity(parity));
        }
    }
    let rows = [distinct, awkward, vec![f32::NAN; matches * patches]];
    for (rows, &candidates) in rows.iter().flat_map(|rows| variants.iter().map(move |variant| (rows, variant))) {
        let (assigned, connection) = (unset(context, "assigned", matches)?, unset(context, "connection", matches)?);
        let bindings = Bindings {
            rows: &upload(context, "rows", rows)?,
            slot: &upload(context, "slot", &slot)?,
            assigned: &assigned,
            connection: &connection,
        };
        let params = Params { patches: patches as u32, dropped: dropped as u32 };
        execute(context, |recorder| record(recorder, params, images as u32, candidates, bindings))?;
        let got_assigned: Vec<u32> = download(context, &assigned, matches)?;
        let got_connection: Vec<f32> = download(context, &connection, matches)?;
        let (twin_assigned, twin_connection) = assign(rows, &slot, patches, dropped, candidates);
        worst = worst.worse(Difference::of_indices(&got_assigned, &twin_assigned));
        worst = worst.worse(Difference::of_floats(&got_connection, &twin_connection, 0.0));
    }
    Ok(worst)
}
