//! Check of `condense/assign.wgsl`, on distinct connections and on connections with ties, NaN, infinities and both zeros.
//! A choice and a copy: no tolerance.

use super::data::{connectivity, selection, unset};
use super::{Check, Difference, at_most, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::assign::{Bindings, Params, record};
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
    for rows in [distinct, awkward, vec![f32::NAN; matches * patches]] {
        let (assigned, connection) = (unset(context, "assigned", matches)?, unset(context, "connection", matches)?);
        let bindings = Bindings {
            rows: &upload(context, "rows", &rows)?,
            slot: &upload(context, "slot", &slot)?,
            assigned: &assigned,
            connection: &connection,
        };
        let params = Params { patches: patches as u32, dropped: dropped as u32 };
        execute(context, |recorder| record(recorder, params, images as u32, bindings))?;
        let got_assigned: Vec<u32> = download(context, &assigned, matches)?;
        let got_connection: Vec<f32> = download(context, &connection, matches)?;
        let (twin_assigned, twin_connection) = assign(&rows, &slot, patches, dropped);
        worst = worst.worse(Difference::of_indices(&got_assigned, &twin_assigned));
        worst = worst.worse(Difference::of_floats(&got_connection, &twin_connection, 0.0));
    }
    Ok(worst)
}
