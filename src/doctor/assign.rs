//! Check of `condense/assign.wgsl`, on distinct connections and on connections with ties, NaN, infinities and both zeros.
//! Where a parity is kept, also among its tokens alone. A choice and a copy: no tolerance. For C = W + a W^2, W is of few
//! small numbers, whose sums f32 holds exactly and many of which tie: no tolerance either.

use std::fmt;

use super::data::{connectivity, kept, placed, places, selection, unset};
use super::{Check, Difference, at_most, dimensions, download, execute, upload};
use crate::condensation::Chain;
use crate::error::{Error, Result};
use crate::gpu::{Context, Home, Placed, Variant};
use crate::kernels::assign::{Bindings, Candidates, Params, Rows, record};
use crate::kernels::attention_powers::Layout;
use crate::random::Random;
use crate::reference::assign::{assign, diagonal, dropped_rows};

pub(super) const CHECK: Check = Check {
    kernel: "assign",
    dimensions: "images, patches, dropped",
    sizes: &[&[1, 2, 1], &[3, 7, 6], &[2, 64, 16], &[2, 196, 14]],
    compare: |context, size, seed| compare(context, Variant::Plain, None, dimensions(size)?, seed),
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "assign_subgroup",
    compare: |context, size, seed| compare(context, Variant::Subgroup, None, dimensions(size)?, seed),
    ..CHECK
};

/// What a session uses of matching in octets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    /// How many factors of W the dropped tokens' rows are made of; 0 where they are there.
    pub(crate) order: u32,
    /// Where W lies, and how.
    pub(crate) home: Home,
    pub(crate) aligned: bool,
    /// Any, or those of a parity.
    pub(crate) candidates: Candidates,
    /// Whether C's diagonal is asked for.
    pub(crate) weighs: bool,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |is: bool, word: &'static str| if is { word } else { "" };
        let (texture, aligned) = (self.home.of("", " texture"), said(self.aligned, " aligned"));
        let (candidates, weighs) = (format!("{:?}", self.candidates).to_lowercase(), said(self.weighs, " weighing"));
        write!(f, "assign subgroup order {}{texture}{aligned} {candidates}{weighs}", self.order)
    }
}

impl Use {
    /// Kernel and twin for images, patches and dropped tokens.
    ///
    /// # Errors
    /// [`Error::Limit`] where such a size has nothing of the kind, else as a check.
    pub(crate) fn compare(self, context: &Context, size: [usize; 3], seed: u64) -> Result<Difference> {
        compare(context, Variant::Subgroup, Some(self), size, seed)
    }

    fn includes(self, order: u32, layout: Layout, home: Home) -> bool {
        (self.order, self.home, self.aligned) == (order, home, layout.aligned())
    }
}

/// All forms, or those that `only` has.
fn compare(
    context: &Context,
    variant: Variant,
    only: Option<Use>,
    [images, patches, dropped]: [usize; 3],
    seed: u64,
) -> Result<Difference> {
    at_most("dropped", dropped, patches - 1)?;
    let mut random = Random::named("assign", seed);
    let (order, slot) = selection(&mut random, images, patches, dropped);
    let case = Case { context, variant, only, images, patches, dropped, order, slot };
    let second = |alpha| Chain { order: 2, alpha, newton_steps: None };
    let few: Vec<f32> = (0..images * patches * patches).map(|_| random.below(8) as f32 / 8.0).collect();
    let matrices = [
        (connectivity(&mut random, images, patches), Chain::IDENTITY),
        (awkward(&mut random, images, patches), Chain::IDENTITY),
        (vec![f32::NAN; images * patches * patches], Chain::IDENTITY),
        (few.clone(), second(2.0)),
        (few, second(0.5)),
    ];
    let mut worst = None;
    for (w, chain) in &matrices {
        if let Some(difference) = case.compare(w, *chain)? {
            worst = Some(worst.unwrap_or(Difference::NONE).worse(difference));
        }
    }
    worst.ok_or_else(|| Error::limit("check assign", format!("a size for {only:?}"), format!("{patches} patches")))
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
    only: Option<Use>,
    images: usize,
    patches: usize,
    dropped: usize,
    order: Vec<u32>,
    slot: Vec<u32>,
}

impl Case<'_> {
    /// Compares what is found in C, which follows from `w` [B, N, N] by `chain`: its rows made before, and made here. Nothing
    /// where no form is wanted.
    fn compare(&self, w: &[f32], chain: Chain) -> Result<Option<Difference>> {
        let Self { context, patches, dropped, .. } = *self;
        let wanted = |order, layout, home| self.only.is_none_or(|only| only.includes(order, layout, home));
        let made = dropped_rows(w, &self.order, patches, dropped, chain);
        let made_buffer = upload(context, "rows", &made)?;
        let packed = Layout::packed(patches);
        let uploaded: Vec<(Placed, Layout)> = places(patches, self.variant)
            .into_iter()
            .filter(|&(layout, home)| wanted(chain.order, layout, home))
            .map(|place| Ok((placed(context, w, patches, place)?, place.0)))
            .collect::<Result<_>>()?;
        let of_w = uploaded.iter().map(|(uploaded, layout)| match chain.order {
            1 => (Rows::First(uploaded.matrix()), *layout),
            _ => (Rows::Second(uploaded.matrix()), *layout),
        });
        let of_rows = wanted(0, packed, Home::Buffer).then_some((Rows::Made(&made_buffer), packed));
        let mut worst = None;
        for candidates in self.variants() {
            let twin = assign(&made, &self.slot, patches, dropped, candidates);
            for (rows, layout) in of_rows.into_iter().chain(of_w.clone()) {
                let (assigned, connection, weights) = self.run(rows, layout, chain, candidates)?;
                let mut found = Difference::of_indices(&assigned, &twin.0);
                found = found.worse(Difference::of_floats(&connection, &twin.1, 0.0));
                if !matches!(rows, Rows::Made(_)) && self.weighs() {
                    let twin = diagonal(w, &twin.0, patches, dropped, chain);
                    found = found.worse(Difference::of_floats(&weights, &twin, 0.0));
                }
                worst = Some(worst.unwrap_or(Difference::NONE).worse(found));
            }
        }
        Ok(worst)
    }

    fn weighs(&self) -> bool {
        self.only.is_none_or(|only| only.weighs)
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
        variants.retain(|&candidates| self.only.is_none_or(|only| only.candidates == candidates));
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
        execute(context, |recorder| {
            record(recorder, self.variant, params, images, candidates, self.weighs(), bindings)
        })?;
        Ok((
            download(context, &assigned, matches)?,
            download(context, &connection, matches)?,
            download(context, &diagonal, matches)?,
        ))
    }
}
