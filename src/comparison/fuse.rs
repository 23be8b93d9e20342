//! Comparison of `condense/fuse.wgsl` and its ways, with fusion by connectivity, by size, as a sum, and without fusion.
//! Groups have several sizes. The weights of some groups have a sum that is zero, infinite or NaN, for which the kernel
//! takes the plain mean.

use super::data::{kept, rounding, selection, unset};
use super::{Check, Difference, at_most, compare_ways, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Traits, Way};
use crate::kernels::fuse::{Bindings, Call, Fusion, KERNEL, Params, record};
use crate::random::Random;
use crate::reference::fuse::{Inputs, fuse};
use crate::ways::Verified;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "images, prefix, patches, dropped, width",
    sizes: &[&[1, 1, 2, 1, 4], &[3, 2, 17, 9, 20], &[2, 1, 196, 14, 192], &[1, 5, 64, 63, 64]],
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &KERNEL, &calls(size)?, seed).await }),
}];

/// Calls of one size, one for each fusion.
fn calls(size: &[usize]) -> Result<Vec<Call>> {
    let [images, prefix, patches, dropped, width] = dimensions(size)?;
    at_most("dropped", dropped, patches - 1)?;
    let [images, prefix, patches, dropped] = [images, prefix, patches, dropped].map(|n| n as u32);
    let params = Params { images, prefix, patches, dropped, width4: width.div_ceil(4) as u32 };
    Ok(Fusion::ALL.map(|fusion| Call { params, fusion }).to_vec())
}

impl Verified for Call {
    /// Tokens of this call's width, because some ways have a constant that depends on it (one thread for each vec4).
    fn samples(&self, _traits: &Traits) -> Vec<Self> {
        let sample = |[images, prefix, patches, dropped]: [u32; 4]| Self {
            params: Params { images, prefix, patches, dropped, ..self.params },
            ..*self
        };
        [[1, 1, 2, 1], [3, 2, 17, 9], [1, 5, 64, 63], [2, 1, 196, 14]].map(sample).to_vec()
    }

    async fn compare(&self, context: &Context, way: &'static Way<Self>, seed: u64) -> Result<Difference> {
        let Self { params, fusion } = *self;
        let [images, prefix, patches, dropped] =
            [params.images, params.prefix, params.patches, params.dropped].map(|n| n as usize);
        let width = params.width4 as usize * 4;
        let (incoming, outgoing) = (images * (prefix + patches), images * (prefix + patches - dropped));
        let mut random = Random::named("fuse", seed);
        let tokens = random.tensor(incoming * width, 0.0, 1.0);
        let sizes: Vec<f32> = (0..incoming).map(|_| 1.0 + random.below(9) as f32).collect();
        let (order, slot) = selection(&mut random, images, patches, dropped);
        let Matches { assigned, connection, diagonal } = matches(&mut random, &slot, patches, dropped);
        let fused = upload(context, "tokens", &tokens)?;
        let rows = unset(context, "rows", outgoing)?;
        let fused_sizes = unset(context, "fused sizes", outgoing)?;
        let bindings = Bindings {
            tokens: &fused,
            sizes: &upload(context, "sizes", &sizes)?,
            order: &upload(context, "order", &order)?,
            assigned: &upload(context, "assigned", &assigned)?,
            connection: &upload(context, "connection", &connection)?,
            diagonal: &upload(context, "diagonal", &diagonal)?,
            fused_sizes: &fused_sizes,
            rows: &rows,
        };
        execute(context, |recorder| record(recorder, way, *self, bindings))?;
        let got: Vec<f32> = download_async(context, &fused, incoming * width).await?;
        let got_rows: Vec<u32> = download_async(context, &rows, outgoing).await?;
        let got_sizes: Vec<f32> = download_async(context, &fused_sizes, outgoing).await?;
        let inputs = Inputs {
            tokens: &tokens,
            sizes: &sizes,
            order: &order,
            assigned: &assigned,
            connection: &connection,
            diagonal: &diagonal,
        };
        let expected = fuse(&inputs, &params, fusion);
        let tolerance = if fusion == Fusion::None { 0.0 } else { rounding(dropped + 1) };
        // Sizes are whole numbers, so their sums are exact.
        Ok(Difference::of_floats_near(&got, &expected.tokens, 1.0, tolerance)
            .worse(Difference::of_floats(&got_sizes, &expected.sizes, 0.0))
            .worse(Difference::of_indices(&got_rows, &expected.rows)))
    }
}

/// The results of `assign` and `connectivity`, each [B, R].
struct Matches {
    assigned: Vec<u32>,
    connection: Vec<f32>,
    diagonal: Vec<f32>,
}

/// Assigns half of the dropped tokens to the first kept token and the others to random ones. The weights of kept tokens
/// are in turn ordinary, all zero, NaN, infinite, and of both signs with a sum of zero.
fn matches(random: &mut Random, slot: &[u32], patches: usize, dropped: usize) -> Matches {
    let mut matches = Matches { assigned: Vec::new(), connection: Vec::new(), diagonal: Vec::new() };
    for slot in slot.chunks_exact(patches) {
        let kept = kept(slot);
        let mut own = vec![0.0f32; kept.len()];
        let mut places = Vec::with_capacity(dropped);
        for _ in 0..dropped {
            let place = if random.below(2) == 0 { 0 } else { random.below(kept.len()) };
            let connection = match place % 5 {
                0 => 0.5 + 0.4 * random.unit() as f32,
                1 => 0.0,
                2 => 1.0,
                3 => f32::INFINITY,
                _ => 1.0 + random.below(3) as f32,
            };
            own[place] = match place % 5 {
                0 => 0.75,
                1 => 0.0,
                2 => f32::NAN,
                3 => 1.0,
                _ => own[place] - connection,
            };
            matches.assigned.push(kept[place] as u32);
            matches.connection.push(connection);
            places.push(place);
        }
        matches.diagonal.extend(places.iter().map(|&place| own[place]));
    }
    matches
}
