//! Comparison of `condense/assign.wgsl` and its ways, on distinct connections and on connections with ties, NaN,
//! infinities and both zeros. With a parity, each image keeps at least one token of that parity. Results are indices
//! and copied numbers, so there is no tolerance. For C = W + a W^2, W has few different small numbers and a is a power
//! of two, so f32 holds the sums exactly, and many of them tie.

use super::data::{connectivity, laid_out, layouts, unset};
use super::{Check, Difference, at_most, compare_ways, dimensions, download_async, execute, upload};
use crate::condensation::Chain;
use crate::error::Result;
use crate::gpu::{Context, Traits, Way};
use crate::kernels::assign::{Bindings, Call, Candidates, KERNEL, Params, Rows, record};
#[cfg(feature = "software")]
use crate::kernels::cpu;
use crate::kernels::layout::Layout;
use crate::kernels::top_k::Listing;
use crate::random::Random;
use crate::reference::assign::{assign, diagonal, dropped_rows};
use crate::reference::top_k::top_k;
use crate::ways::Verified;

pub(super) const CHECKS: &[Check] = &[
    CHECK,
    #[cfg(feature = "software")]
    OCTETS,
];

const CHECK: Check = Check {
    kernel: &KERNEL,
    dimensions: "images, patches, dropped",
    sizes: &[&[1, 2, 1], &[3, 7, 6], &[2, 64, 16], &[2, 196, 14]],
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &KERNEL, &calls(size)?, seed).await }),
};

#[cfg(feature = "software")]
const OCTETS: Check = Check {
    kernel: &cpu::assign::KERNEL,
    compare: |context, size, seed| {
        Box::pin(async move { compare_ways(context, &cpu::assign::KERNEL, &calls(size)?, seed).await })
    },
    ..CHECK
};

const CANDIDATES: [Candidates; 3] = [Candidates::Any, Candidates::Parity(0), Candidates::Parity(1)];

/// Calls of one size, with every order, layout, set of candidates and choice of the diagonal.
fn calls(size: &[usize]) -> Result<Vec<Call>> {
    let size @ [_, patches, dropped] = dimensions(size)?;
    at_most("dropped", dropped, patches - 1)?;
    let packed = Layout::packed(patches);
    let of = |layout, order, diagonal| CANDIDATES.map(|candidates| call(size, layout, order, (candidates, diagonal)));
    let mut calls = of(packed, 0, false).to_vec();
    for order in [1, 2] {
        calls.extend(of(packed, order, false));
        calls.extend(layouts(patches).into_iter().flat_map(|layout| of(layout, order, true)));
    }
    Ok(calls)
}

fn call(
    [images, patches, dropped]: [usize; 3],
    layout: Layout,
    order: u32,
    (candidates, diagonal): (Candidates, bool),
) -> Call {
    let params = Params::new(patches, dropped, Chain::IDENTITY).laid_out(layout);
    Call { params, images: images as u32, candidates, diagonal, order }
}

impl Verified for Call {
    /// Sizes with at most eight dropped tokens and with more. Some rows are whole vec4s, others are not.
    fn samples(&self, _traits: &Traits) -> Vec<Self> {
        const FEW: [[usize; 3]; 7] =
            [[1, 2, 1], [3, 7, 6], [3, 8, 3], [2, 33, 8], [1, 64, 8], [1, 196, 5], [1, 261, 7]];
        const MANY: [[usize; 3]; 7] =
            [[2, 31, 9], [2, 64, 16], [2, 65, 16], [2, 196, 14], [1, 197, 14], [1, 260, 40], [1, 261, 17]];
        let of_size = |size: [usize; 3]| layouts(size[1]).into_iter().map(move |layout| (size, layout));
        let all = FEW.into_iter().chain(MANY).flat_map(of_size);
        all.map(|(size, layout)| call(size, layout, self.order, (self.candidates, self.diagonal))).collect()
    }

    async fn compare(&self, context: &Context, way: &'static Way<Self>, seed: u64) -> Result<Difference> {
        let (images, patches) = (self.images as usize, self.params.patches as usize);
        let mut random = Random::named("assign", seed);
        let (order, slot) = self.selection(&mut random);
        let run = Run { context, way, call: *self, order, slot };
        let second = |alpha| Chain { order: 2, alpha, newton_steps: None };
        let elements = images * patches * patches;
        let few: Vec<f32> = (0..elements).map(|_| random.below(8) as f32 / 8.0).collect();
        let matrices = [
            (connectivity(&mut random, images, patches), Chain::IDENTITY),
            (awkward(&mut random, images, patches), Chain::IDENTITY),
            (vec![f32::NAN; elements], Chain::IDENTITY),
            (few.clone(), second(2.0)),
            (few, second(0.5)),
        ];
        let mut worst = Difference::NONE;
        // With order 0 the rows are given, and they may come from any C.
        for (w, chain) in matrices.iter().filter(|(_, chain)| self.order == 0 || self.order == chain.order) {
            worst = worst.worse(run.compare(w, *chain).await?);
        }
        Ok(worst)
    }
}

impl Call {
    /// `order` and `slot` [B, N] with random dropped tokens. With a parity, each image keeps at least one candidate.
    fn selection(&self, random: &mut Random) -> (Vec<u32>, Vec<u32>) {
        let Params { patches, dropped, .. } = self.params;
        let (patches, kept) = (patches as usize, patches.saturating_sub(dropped) as usize);
        let mut score = random.tensor(self.images as usize * patches, 0.0, 1.0);
        if let Candidates::Parity(parity) = self.candidates {
            for image in score.chunks_exact_mut(patches) {
                let of_parity = (patches + 1 - parity as usize % 2) / 2;
                image[parity as usize % 2 + 2 * random.below(of_parity)] = 2.0;
            }
        }
        top_k(&score, patches, kept, Listing::Ascending)
    }
}

fn awkward(random: &mut Random, images: usize, patches: usize) -> Vec<f32> {
    let element = |_| match random.below(16) {
        0..8 => f32::NAN,
        8 => f32::NEG_INFINITY,
        9 => 0.0,
        10 => -0.0,
        // Infinity is rare. Otherwise every row would have several.
        11 if random.below(patches) == 0 => f32::INFINITY,
        _ => random.below(4) as f32 - 2.0,
    };
    (0..images * patches * patches).map(element).collect()
}

/// One call by one way, with the selection of tokens.
struct Run<'a> {
    context: &'a Context,
    way: &'static Way<Call>,
    call: Call,
    order: Vec<u32>,
    slot: Vec<u32>,
}

impl Run<'_> {
    /// Compares the matches in C, which follows from `w` [B, N, N] by `chain`.
    async fn compare(&self, w: &[f32], chain: Chain) -> Result<Difference> {
        let Self { context, call, .. } = *self;
        let Params { patches, dropped, stride, shift, .. } = call.params;
        let (patches, dropped, layout) = (patches as usize, dropped as usize, Layout { stride, shift });
        let made = dropped_rows(w, &self.order, patches, dropped, chain);
        let expected = assign(&made, &self.slot, patches, dropped, call.candidates);
        let (assigned, connection, weights) = match call.order {
            0 => {
                let buffer = upload(context, "rows", &laid_out(&made, patches, layout))?;
                self.run(Rows::Made(&buffer), chain).await?
            }
            order => {
                let w = upload(context, "w", &laid_out(w, patches, layout))?;
                self.run(if order == 1 { Rows::First(&w) } else { Rows::Second(&w) }, chain).await?
            }
        };
        let mut found = Difference::of_indices(&assigned, &expected.0);
        found = found.worse(Difference::of_floats(&connection, &expected.1, 0.0));
        if call.diagonal && call.order > 0 {
            let expected = diagonal(w, &expected.0, patches, dropped, chain);
            found = found.worse(Difference::of_floats(&weights, &expected, 0.0));
        }
        Ok(found)
    }

    /// Runs the way. Returns `assigned`, `connection` and `diagonal`.
    async fn run(&self, rows: Rows<'_>, chain: Chain) -> Result<(Vec<u32>, Vec<f32>, Vec<f32>)> {
        let Self { context, way, call, .. } = *self;
        let Params { patches, dropped, stride, shift, .. } = call.params;
        let params = Params::new(patches as usize, dropped as usize, chain).laid_out(Layout { stride, shift });
        let matches = call.images as usize * dropped as usize;
        let assigned = unset(context, "assigned", matches)?;
        let (connection, diagonal) = (unset(context, "connection", matches)?, unset(context, "diagonal", matches)?);
        let bindings = Bindings {
            rows,
            order: &upload(context, "order", &self.order)?,
            slot: &upload(context, "slot", &self.slot)?,
            assigned: &assigned,
            connection: &connection,
            diagonal: &diagonal,
        };
        execute(context, |recorder| record(recorder, way, Call { params, ..call }, bindings))?;
        Ok((
            download_async(context, &assigned, matches).await?,
            download_async(context, &connection, matches).await?,
            download_async(context, &diagonal, matches).await?,
        ))
    }
}
