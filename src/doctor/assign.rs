//! Check of `condense/assign.wgsl`, on distinct connections and on connections with ties, NaN, infinities and both zeros.
//! Where a parity is kept, also among its tokens alone. A choice and a copy: no tolerance. For C = W + a W^2, W is of few
//! small numbers, whose sums f32 holds exactly and many of which tie: no tolerance either.

use super::data::{connectivity, kept, placed, places, selection, unset};
use super::{Check, Difference, at_most, dimensions, download, execute, upload};
use crate::condensation::Chain;
use crate::error::Result;
use crate::gpu::{Context, Placed, Variant};
use crate::kernels::assign::{Bindings, Candidates, Params, Rows, record};
use crate::kernels::attention_powers::Layout;
use crate::random::Random;
use crate::reference::assign::{assign, diagonal, dropped_rows};

pub(super) const CHECK: Check = Check {
    kernel: "assign",
    dimensions: "images, patches, dropped",
    sizes: &[&[1, 2, 1], &[3, 7, 6], &[2, 64, 16], &[2, 196, 14]],
    compare: |context, size, seed| compare(context, Variant::Plain, size, seed),
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "assign_subgroup",
    compare: |context, size, seed| compare(context, Variant::Subgroup, size, seed),
    ..CHECK
};

fn compare(context: &Context, variant: Variant, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches, dropped] = dimensions(size)?;
    at_most("dropped", dropped, patches - 1)?;
    let mut random = Random::named("assign", seed);
    let (order, slot) = selection(&mut random, images, patches, dropped);
    let case = Case { context, variant, images, patches, dropped, order, slot };
    let second = |alpha| Chain { order: 2, alpha, newton_steps: None };
    let mut worst = case.compare(&connectivity(&mut random, images, patches), Chain::IDENTITY)?;
    worst = worst.worse(case.compare(&awkward(&mut random, images, patches), Chain::IDENTITY)?);
    worst = worst.worse(case.compare(&vec![f32::NAN; images * patches * patches], Chain::IDENTITY)?);
    let few: Vec<f32> = (0..images * patches * patches).map(|_| random.below(8) as f32 / 8.0).collect();
    worst = worst.worse(case.compare(&few, second(2.0))?);
    Ok(worst.worse(case.compare(&few, second(0.5))?))
}

fn awkward(random: &mut Random, images: usize, patches: usize) -> Vec<f32> {
    let element = |_| match random.below(16) {
        0..8 => f32::NAN,
        8 => f32::NEG_INFINITY,
        9 => 0.0,
        10 => -0.0,
        // Rare, or every row would have several.
        11 if random.below(patches) == 0 => f32::INFINITY,
        _ => random.below(4) as f32 - 2.0,
    };
    (0..images * patches * patches).map(element).collect()
}

struct Case<'a> {
    context: &'a Context,
    variant: Variant,
    images: usize,
    patches: usize,
    dropped: usize,
    order: Vec<u32>,
    slot: Vec<u32>,
}

impl Case<'_> {
    /// Compares what is found in C, which follows from `w` [B, N, N] by `chain`: its rows made before, and made here.
    fn compare(&self, w: &[f32], chain: Chain) -> Result<Difference> {
        let Self { context, patches, dropped, .. } = *self;
        let made = dropped_rows(w, &self.order, patches, dropped, chain);
        let made_buffer = upload(context, "rows", &made)?;
        let packed = Layout::packed(patches);
        let uploaded: Vec<(Placed, Layout)> = places(patches, self.variant)
            .into_iter()
            .map(|place| Ok((placed(context, w, patches, place)?, place.0)))
            .collect::<Result<_>>()?;
        let of_w = uploaded.iter().map(|(uploaded, layout)| match chain.order {
            1 => (Rows::First(uploaded.matrix()), *layout),
            _ => (Rows::Second(uploaded.matrix()), *layout),
        });
        let mut worst = Difference::NONE;
        for candidates in self.variants() {
            let twin = assign(&made, &self.slot, patches, dropped, candidates);
            for (rows, layout) in std::iter::once((Rows::Made(&made_buffer), packed)).chain(of_w.clone()) {
                let (assigned, connection, weights) = self.run(rows, layout, chain, candidates)?;
                worst = worst.worse(Difference::of_indices(&assigned, &twin.0));
                worst = worst.worse(Difference::of_floats(&connection, &twin.1, 0.0));
                if !matches!(rows, Rows::Made(_)) {
                    let twin = diagonal(w, &twin.0, patches, dropped, chain);
                    worst = worst.worse(Difference::of_floats(&weights, &twin, 0.0));
                }
            }
        }
        Ok(worst)
    }

    /// Any candidate, and those of a parity where every image keeps one.
    fn variants(&self) -> Vec<Candidates> {
        let mut variants = vec![Candidates::Any];
        for parity in [0, 1] {
            let has = |slot: &[u32]| kept(slot).iter().any(|token| *token as u32 % 2 == parity);
            if self.slot.chunks_exact(self.patches).all(has) {
                variants.push(Candidates::Parity(parity));
            }
        }
        variants
    }

    /// `assigned`, `connection` and `diagonal`.
    fn run(
        &self,
        rows: Rows<'_>,
        layout: Layout,
        chain: Chain,
        candidates: Candidates,
    ) -> Result<(Vec<u32>, Vec<f32>, Vec<f32>)> {
        let (context, matches) = (self.context, self.images * self.dropped);
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
        let params = Params::new(self.patches, self.dropped, chain).laid_out(layout);
        let images = self.images as u32;
        execute(context, |recorder| record(recorder, self.variant, params, images, candidates, true, bindings))?;
        Ok((
            download(context, &assigned, matches)?,
            download(context, &connection, matches)?,
            download(context, &diagonal, matches)?,
        ))
    }
}
