//! Check of `condense/top_k.wgsl`, on distinct scores and on scores with ties, NaN, infinities and both zeros, listed in
//! each order. Indices: no tolerance.

use super::data::unset;
use super::{Check, Difference, at_most, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Variant};
use crate::kernels::top_k::{Bindings, Listing, Params, record};
use crate::random::Random;
use crate::reference::top_k::top_k;

pub(super) const CHECK: Check = Check {
    kernel: "top_k",
    dimensions: "images, patches, kept",
    sizes: &[&[1, 1, 1], &[3, 7, 4], &[2, 196, 182], &[2, 257, 1], &[1, 2048, 1024]],
    compare: |context, size, seed| compare(context, Variant::Plain, size, seed),
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "top_k_subgroup",
    compare: |context, size, seed| compare(context, Variant::Subgroup, size, seed),
    ..CHECK
};

fn compare(context: &Context, variant: Variant, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches, kept] = dimensions(size)?;
    at_most("kept", kept, patches)?;
    let elements = images * patches;
    let mut random = Random::named("top_k", seed);
    let distinct = random.tensor(elements, 0.0, 1.0);
    let awkward = (0..elements)
        .map(|_| match random.below(12) {
            0 => f32::NAN,
            1 => -f32::NAN,
            2 => f32::INFINITY,
            3 => f32::NEG_INFINITY,
            4 => 0.0,
            5 => -0.0,
            _ => random.below(5) as f32 - 2.0,
        })
        .collect();
    let mut worst = Difference::NONE;
    let listings = [Listing::Ascending, Listing::ParityFirst(0), Listing::ParityFirst(1)];
    let scores: [Vec<f32>; 3] = [distinct, awkward, vec![0.25; elements]];
    for (score, listing) in scores.iter().flat_map(|score| listings.map(|listing| (score, listing))) {
        let (order, slot) = (unset(context, "order", elements)?, unset(context, "slot", elements)?);
        let bindings = Bindings { score: &upload(context, "score", score)?, order: &order, slot: &slot };
        let params = Params::new(patches, kept);
        execute(context, |recorder| record(recorder, variant, params, images as u32, listing, bindings))?;
        let (twin_order, twin_slot) = top_k(score, patches, kept, listing);
        worst = worst.worse(Difference::of_indices(&download::<u32>(context, &order, elements)?, &twin_order));
        worst = worst.worse(Difference::of_indices(&download::<u32>(context, &slot, elements)?, &twin_slot));
    }
    Ok(worst)
}
