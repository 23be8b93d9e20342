//! Comparison of `condense/score.wgsl` and its ways, with every combination of terms, for a positive c (from the power
//! sum), for a c of mixed signs (from a Newton iteration that diverged), and for a c that is computed from W in each
//! layout. The expected selection is made from the kernel's own scores, because rounding may decide between nearly
//! equal scores.

use super::data::{connectivity, dominance, laid_out, layouts, rounding, unset};
use super::{Check, Difference, compare_ways, dimensions, download_async, execute, upload};
use crate::condensation::Chain;
use crate::error::Result;
use crate::gpu::{Context, Traits, Way};
use crate::kernels::attention_connectivity::STRIP;
use crate::kernels::layout::Layout;
use crate::kernels::score::{Bindings, Call, Connectivity, KERNEL, Params, SUBGROUP, Terms, record};
use crate::kernels::top_k::Listing;
use crate::random::Random;
use crate::reference::attention_connectivity::column_sums;
use crate::reference::score::{column_mean, score};
use crate::reference::top_k::top_k;
use crate::ways::Verified;

pub(super) const CHECKS: &[Check] = &[CHECK, OCTETS];

const CHECK: Check = Check {
    kernel: &KERNEL,
    dimensions: "images, patches",
    sizes: &[&[1, 1], &[3, 7], &[2, 64], &[2, 196]],
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &KERNEL, &calls(size)?, seed).await }),
};

const OCTETS: Check = Check {
    kernel: &SUBGROUP,
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &SUBGROUP, &calls(size)?, seed).await }),
    ..CHECK
};

/// Values of a in comparisons: the paper's, and one with which W itself matters too.
const ALPHAS: [f32; 2] = [500.0, 0.5];

/// Calls of one size: a given c with every combination of terms, then a c that is computed, with and without
/// normalisation.
fn calls(size: &[usize]) -> Result<Vec<Call>> {
    let size = dimensions(size)?;
    let flags = [false, true];
    let combinations = flags.iter().flat_map(|&normalise| {
        let with = move |connectivity| flags.map(|dominance| Terms { normalise, connectivity, dominance });
        flags.into_iter().flat_map(with)
    });
    let given = Layout::packed(size[1]);
    let mut calls: Vec<Call> = combinations.map(|terms| call(size, given, (0, ALPHAS[0]), terms)).collect();
    for layout in layouts(size[1]) {
        for (order, normalise) in [(1, ALPHAS[0]), (2, ALPHAS[0]), (2, ALPHAS[1])].map(|order| (order, flags)) {
            let terms = normalise.map(|normalise| Terms { normalise, connectivity: true, dominance: true });
            calls.extend(terms.map(|terms| call(size, layout, order, terms)));
        }
    }
    // W in place of its column sums, with as many strips as rows.
    let terms = Terms { normalise: true, connectivity: true, dominance: true };
    calls.extend([(1, ALPHAS[0]), (2, ALPHAS[1])].map(|order| {
        let call = call(size, given, order, terms);
        Call { params: Params { strips: call.params.patches, ..call.params }, ..call }
    }));
    Ok(calls)
}

fn call([images, patches]: [usize; 2], layout: Layout, (order, alpha): (u32, f32), terms: Terms) -> Call {
    let chain = if order == 1 { Chain::IDENTITY } else { Chain { order: 2, alpha, newton_steps: None } };
    let params = Params::new(patches, patches - patches / 3, 3.5, chain).laid_out(layout);
    Call { params, images: images as u32, terms, order }
}

impl Verified for Call {
    /// Rows of whole vec4s and others, with up to more tokens than a workgroup has threads. The factors are always the
    /// same, so that a verdict does not depend on the call that asks first.
    fn samples(&self, _traits: &Traits) -> Vec<Self> {
        const SIZES: [[usize; 2]; 8] = [[1, 1], [3, 7], [3, 8], [2, 33], [2, 64], [1, 196], [1, 257], [1, 260]];
        let of_size = |size: [usize; 2]| layouts(size[1]).into_iter().map(move |layout| (size, layout));
        let all = SIZES.into_iter().flat_map(of_size);
        all.zip(ALPHAS.into_iter().cycle())
            .map(|((size, layout), alpha)| call(size, layout, (self.order, alpha), self.terms))
            .collect()
    }

    async fn compare(&self, context: &Context, way: &'static Way<Self>, seed: u64) -> Result<Difference> {
        let Params { patches, strips, ratio, inverse, stride, shift, .. } = self.params;
        let (images, patches, layout) = (self.images as usize, patches as usize, Layout { stride, shift });
        let mut random = Random::named("score", seed);
        let dominance = dominance(&mut random, images, patches);
        let run =
            Run { context, way, call: *self, dominance_buffer: upload(context, "dominance", &dominance)?, dominance };
        if self.order == 0 {
            let mut worst = Difference::NONE;
            for (offset, spread) in [(2e-3, 1.9e-3), (-3e8, 1e9)] {
                let c = random.tensor(images * patches, offset, spread);
                let c_buffer = upload(context, "connectivity", &c)?;
                worst = worst.worse(run.compare(Connectivity::Mean(&c_buffer), &c).await?);
            }
            return Ok(worst);
        }
        let w = connectivity(&mut random, images, patches);
        // If every row is a strip, the column sums are W itself.
        let height = if strips as usize == patches { 1 } else { STRIP };
        let sums = laid_out(&column_sums(&w, patches, height), patches, layout);
        let column_sums = &upload(context, "column sums", &sums)?;
        let w_buffer = upload(context, "w", &laid_out(&w, patches, layout))?;
        let connectivity = match self.order {
            1 => Connectivity::First { column_sums },
            _ => Connectivity::Second { column_sums, w: &w_buffer },
        };
        let chain = Chain { order: self.order, alpha: ratio / inverse, newton_steps: None };
        run.compare(connectivity, &column_mean(&w, patches, chain)).await
    }
}

/// One call by one way, with its dominance.
struct Run<'a> {
    context: &'a Context,
    way: &'static Way<Call>,
    call: Call,
    dominance: Vec<f32>,
    dominance_buffer: wgpu::Buffer,
}

impl Run<'_> {
    /// Compares the results of `connectivity` with those of `c`, which holds the same numbers.
    async fn compare(&self, connectivity: Connectivity<'_>, c: &[f32]) -> Result<Difference> {
        let Self { context, way, call, .. } = *self;
        let (params, terms) = (call.params, call.terms);
        let (elements, patches, kept) = (c.len(), params.patches as usize, params.kept as usize);
        let result = unset(context, "score", elements)?;
        let (order, slot) = (unset(context, "order", elements)?, unset(context, "slot", elements)?);
        let dominance = &self.dominance_buffer;
        let bindings = Bindings { connectivity, dominance, score: &result, order: &order, slot: &slot };
        execute(context, |recorder| record(recorder, way, call, bindings))?;
        let got: Vec<f32> = download_async(context, &result, elements).await?;
        let expected = |terms| score(c, &self.dominance, patches, params.beta, params.scale, terms);
        // -c and b D may nearly cancel, so the error is relative to the largest c.
        let larger = expected(Terms { dominance: false, ..terms });
        let larger = larger.iter().fold(0.0, |most, v| f64::max(most, f64::from(v.abs())));
        // A c that is computed from W adds the errors of two sums of products.
        let sums = if call.order == 0 { 1.0 } else { 3.0 };
        let tolerance = sums * rounding(patches) * condition(c, patches);
        let worst = Difference::of_floats_near(&got, &expected(terms), larger.max(1e-3), tolerance);
        let (expected_order, expected_slot) = top_k(&got, patches, kept, Listing::Ascending);
        let order = Difference::of_indices(&download_async::<u32>(context, &order, elements).await?, &expected_order);
        let slot = Difference::of_indices(&download_async::<u32>(context, &slot, elements).await?, &expected_slot);
        Ok(worst.worse(order).worse(slot))
    }
}

/// The sum of |c| relative to the magnitude of the sum of c, in the worst image.
fn condition(c: &[f32], patches: usize) -> f64 {
    let of_image = |c: &[f32]| {
        let sum = |f: fn(f64) -> f64| c.iter().map(|&v| f(f64::from(v))).sum::<f64>();
        sum(f64::abs) / sum(|v| v).abs()
    };
    c.chunks_exact(patches).map(of_image).fold(1.0, f64::max)
}
