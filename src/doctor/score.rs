//! Check of `condense/score.wgsl`: with every combination of its terms, for a c that is positive (the power sum) and for
//! one of mixed signs (a Newton iteration that diverged); and for a c that it makes out of W, as W may lie. The selection is compared
//! with that by the kernel's own scores: near-ties may legitimately come out differently, and are not its business.

use std::fmt;

use super::data::{connectivity, dominance, laid_out, placed, places, rounding, unset};
use super::{Check, Difference, dimensions, download, execute, upload};
use crate::condensation::Chain;
use crate::error::{Error, Result};
use crate::gpu::{Context, Home, Placed, Variant};
use crate::kernels::attention_connectivity::STRIP;
use crate::kernels::attention_powers::Layout;
use crate::kernels::score::{Bindings, Connectivity, Params, Terms, record};
use crate::kernels::top_k::Listing;
use crate::random::Random;
use crate::reference::attention_connectivity::column_sums;
use crate::reference::score::{column_mean, score};
use crate::reference::top_k::top_k;

pub(super) const CHECK: Check = Check {
    kernel: "score",
    dimensions: "images, patches",
    sizes: &[&[1, 1], &[3, 7], &[2, 64], &[2, 196]],
    compare: |context, size, seed| compare(context, Variant::Plain, None, dimensions(size)?, seed),
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "score_subgroup",
    compare: |context, size, seed| compare(context, Variant::Subgroup, None, dimensions(size)?, seed),
    ..CHECK
};

/// What a session uses of the score in octets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    /// How many factors of W its connectivity is made of; 0 where it is there.
    pub(crate) order: u32,
    /// Where W lies, and how.
    pub(crate) home: Home,
    pub(crate) aligned: bool,
    pub(crate) terms: Terms,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |is: bool, word: &'static str| if is { word } else { "" };
        let (texture, aligned) = (self.home.of("", " texture"), said(self.aligned, " aligned"));
        let Terms { normalise, connectivity, dominance } = self.terms;
        let [normalise, connectivity, dominance] =
            [said(normalise, " normalised"), said(connectivity, " connectivity"), said(dominance, " dominance")];
        write!(f, "score subgroup order {}{texture}{aligned}{normalise}{connectivity}{dominance}", self.order)
    }
}

impl Use {
    /// Kernel and twin for images and patches.
    ///
    /// # Errors
    /// [`Error::Limit`] where such a size has nothing of the kind, else as a check.
    pub(crate) fn compare(self, context: &Context, size: [usize; 2], seed: u64) -> Result<Difference> {
        compare(context, Variant::Subgroup, Some(self), size, seed)
    }

    fn includes(self, order: u32, (layout, home): (Layout, Home), terms: Terms) -> bool {
        (self.order, self.home, self.aligned, self.terms) == (order, home, layout.aligned(), terms)
    }
}

/// All forms, or those that `only` has.
fn compare(
    context: &Context,
    variant: Variant,
    only: Option<Use>,
    [images, patches]: [usize; 2],
    seed: u64,
) -> Result<Difference> {
    let elements = images * patches;
    let mut random = Random::named("score", seed);
    let dominance = dominance(&mut random, images, patches);
    let case = Case {
        context,
        variant,
        images,
        patches,
        layout: Layout::packed(patches),
        dominance_buffer: upload(context, "dominance", &dominance)?,
        dominance,
    };
    let second = |alpha| Chain { order: 2, alpha, newton_steps: None };
    let wanted = |order, place, terms| only.is_none_or(|only| only.includes(order, place, terms));
    let mut worst: Option<Difference> = None;
    let mut note = |found: Difference| worst = Some(worst.unwrap_or(Difference::NONE).worse(found));
    for (offset, spread) in [(2e-3, 1.9e-3), (-3e8, 1e9)] {
        let c = random.tensor(elements, offset, spread);
        let c_buffer = upload(context, "connectivity", &c)?;
        for bits in 0..8 {
            let terms = Terms { normalise: bits & 1 > 0, connectivity: bits & 2 > 0, dominance: bits & 4 > 0 };
            if wanted(0, (case.layout, Home::Buffer), terms) {
                note(case.compare(Connectivity::Mean(&c_buffer), &c, second(500.0), terms)?);
            }
        }
    }
    let w = connectivity(&mut random, images, patches);
    let sums = column_sums(&w, patches, STRIP);
    for (layout, home) in places(patches, variant) {
        let case =
            Case { layout, dominance: case.dominance.clone(), dominance_buffer: case.dominance_buffer.clone(), ..case };
        let sums = upload(context, "column sums", &laid_out(&sums, patches, layout))?;
        let placed = placed(context, &w, patches, (layout, home))?;
        let in_texture = if let Placed::Texture(view) = &placed { Some(view) } else { None };
        let from_sums = Connectivity::First { column_sums: &sums, w: in_texture };
        let from_w = Connectivity::Second { column_sums: &sums, w: placed.matrix() };
        for (made, chain) in [(from_sums, Chain::IDENTITY), (from_w, second(500.0)), (from_w, second(0.5))] {
            let c = column_mean(&w, patches, chain);
            for (normalise, dominance) in [(false, true), (true, true), (false, false), (true, false)] {
                let terms = Terms { normalise, connectivity: true, dominance };
                if only.is_none() && !dominance {
                    // How terms add up was seen above.
                    continue;
                }
                if wanted(chain.order, (layout, home), terms) {
                    note(case.compare(made, &c, chain, terms)?);
                }
            }
        }
    }
    worst.ok_or_else(|| Error::limit("check score", format!("a size for {only:?}"), format!("{patches} patches")))
}

struct Case<'a> {
    context: &'a Context,
    variant: Variant,
    images: usize,
    patches: usize,
    layout: Layout,
    dominance: Vec<f32>,
    dominance_buffer: wgpu::Buffer,
}

impl Case<'_> {
    fn compare(&self, made: Connectivity<'_>, c: &[f32], chain: Chain, terms: Terms) -> Result<Difference> {
        let Self { context, variant, images, patches, .. } = *self;
        let (elements, kept) = (images * patches, patches - patches / 3);
        let params = Params::new(patches, kept, 3.5, chain).laid_out(self.layout);
        let result = unset(context, "score", elements)?;
        let (order, slot) = (unset(context, "order", elements)?, unset(context, "slot", elements)?);
        let bindings = Bindings {
            connectivity: made,
            dominance: &self.dominance_buffer,
            score: &result,
            order: &order,
            slot: &slot,
        };
        execute(context, |recorder| record(recorder, variant, params, images as u32, terms, bindings))?;
        let got: Vec<f32> = download(context, &result, elements)?;
        let twin = |terms| score(c, &self.dominance, patches, params.beta, params.scale, terms);
        // -c and b D may nearly cancel; each is off by its own size.
        let larger = twin(Terms { dominance: false, ..terms });
        let larger = larger.iter().fold(0.0, |most, v| f64::max(most, f64::from(v.abs())));
        // A c that is made here is two sums of products more.
        let sums = if matches!(made, Connectivity::Mean(_)) { 1.0 } else { 3.0 };
        let tolerance = sums * rounding(patches) * condition(c, patches);
        let worst = Difference::of_floats_near(&got, &twin(terms), larger.max(1e-3), tolerance);
        let (twin_order, twin_slot) = top_k(&got, patches, kept, Listing::Ascending);
        let order = Difference::of_indices(&download::<u32>(context, &order, elements)?, &twin_order);
        let slot = Difference::of_indices(&download::<u32>(context, &slot, elements)?, &twin_slot);
        Ok(worst.worse(order).worse(slot))
    }
}

/// How much larger the summed magnitudes of c are than its sum, in the worst image.
fn condition(c: &[f32], patches: usize) -> f64 {
    let of_image = |c: &[f32]| {
        let sum = |f: fn(f64) -> f64| c.iter().map(|&v| f(f64::from(v))).sum::<f64>();
        sum(f64::abs) / sum(|v| v).abs()
    };
    c.chunks_exact(patches).map(of_image).fold(1.0, f64::max)
}
