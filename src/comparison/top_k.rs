//! Comparison of `condense/top_k.wgsl` and its ways, on distinct scores and on scores with ties, NaN, infinities and
//! both zeros, listed in each order. Results are indices, so there is no tolerance.

use super::data::unset;
use super::{Check, Difference, at_most, compare_ways, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Traits, Way};
use crate::kernels::top_k::{Bindings, Call, KERNEL, Listing, Params, SUBGROUP as OCTETS, record};
use crate::random::Random;
use crate::reference::top_k::top_k;
use crate::ways::Verified;

pub(super) const CHECKS: &[Check] = &[CHECK, SUBGROUP];

const CHECK: Check = Check {
    kernel: &KERNEL,
    dimensions: "images, patches, kept",
    sizes: &[&[1, 1, 1], &[3, 7, 4], &[2, 196, 182], &[2, 257, 1], &[1, 2048, 1024]],
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &KERNEL, &calls(size)?, seed).await }),
};

const SUBGROUP: Check = Check {
    kernel: &OCTETS,
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &OCTETS, &calls(size)?, seed).await }),
    ..CHECK
};

/// Calls of one size, one for each order.
fn calls(size: &[usize]) -> Result<Vec<Call>> {
    let [images, patches, kept] = dimensions(size)?;
    at_most("kept", kept, patches)?;
    let params = Params::new(patches, kept);
    let listings = [Listing::Ascending, Listing::ParityFirst(0), Listing::ParityFirst(1)];
    Ok(listings.map(|listing| Call { params, images: images as u32, listing }).to_vec())
}

impl Verified for Call {
    fn samples(&self, _traits: &Traits) -> Vec<Self> {
        let sample = |(images, patches, kept)| Self { params: Params::new(patches, kept), images, ..*self };
        [(1, 1, 1), (3, 7, 4), (2, 196, 182), (2, 257, 1), (1, 2048, 1024)].map(sample).to_vec()
    }

    async fn compare(&self, context: &Context, way: &'static Way<Self>, seed: u64) -> Result<Difference> {
        let [images, patches, kept] = [self.images, self.params.patches, self.params.kept].map(|n| n as usize);
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
        let scores: [Vec<f32>; 3] = [distinct, awkward, vec![0.25; elements]];
        for score in &scores {
            let (order, slot) = (unset(context, "order", elements)?, unset(context, "slot", elements)?);
            let bindings = Bindings { score: &upload(context, "score", score)?, order: &order, slot: &slot };
            execute(context, |recorder| record(recorder, way, *self, bindings))?;
            let (expected_order, expected_slot) = top_k(score, patches, kept, self.listing);
            worst = worst.worse(Difference::of_indices(
                &download_async::<u32>(context, &order, elements).await?,
                &expected_order,
            ));
            worst = worst
                .worse(Difference::of_indices(&download_async::<u32>(context, &slot, elements).await?, &expected_slot));
        }
        Ok(worst)
    }
}
