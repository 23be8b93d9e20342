//! Which kernels a device is believed to run: those that gave their twin's results on it, in the forms that are asked for.
//! The answers are among the context's choices. Where forms are many or large only those in use are compared, because a
//! driver for CPUs takes seconds to compile each.

use std::time::Instant;

use crate::doctor::{
    self, AssignUse, AttentionUse, AttentionWay, ConvolutionUse, Difference, MeanUse, NormUse, ProductsUse, ScoreUse,
};
use crate::error::{Error, Result};
use crate::gpu::{self, Context, Home, Precision, Types, octet};
use crate::kernels::convolve;
use crate::kernels::layer_norm;
use crate::kernels::linear::{Epilogue, Variant};
use crate::kernels::query_key::{self, Products};

/// Sizes at which a dense layer must give the twin's result: below, at and past every tile's edge.
const PRODUCTS: [[usize; 3]; 3] = [[7, 20, 12], [65, 64, 68], [130, 72, 192]];

/// Images, tokens and heads at which attention must: tiles of one, two and three groups of eight queries, full or not.
const ATTENTIONS: [[usize; 3]; 6] = [[2, 1, 1], [2, 7, 3], [2, 9, 9], [1, 31, 2], [1, 65, 2], [1, 197, 3]];

/// Images, patches and dropped tokens at which matching must: of at most eight tokens and of more, in whole vec4s or not.
const MATCHES: [[usize; 3]; 8] =
    [[3, 8, 3], [1, 64, 8], [3, 7, 6], [2, 33, 8], [2, 64, 16], [2, 196, 14], [2, 65, 16], [1, 197, 14]];

/// Images and patches at which the score must: in whole vec4s or not, up to more than a workgroup has threads.
const SCORES: [[usize; 2]; 6] = [[1, 1], [3, 7], [2, 33], [3, 8], [2, 64], [1, 196]];

/// Which variant of all of `kernels` (their stems) to run: the subgroups' where the device can and each of them has given
/// its twin's results there, at every size that the doctor tries.
pub fn way(context: &Context, kernels: &[&str]) -> gpu::Variant {
    subgroups_if(context, || kernels.iter().all(|kernel| is_believed(context, &format!("{kernel}_subgroup"))))
}

/// Whether `kernel`, which the device can run, has given its twin's results there, at every size that the doctor tries.
pub(crate) fn is_believed(context: &Context, kernel: &str) -> bool {
    let Some(check) = doctor::CHECKS.iter().find(|check| check.kernel == kernel) else { return false };
    believed(context, kernel, || proven(check.sizes.iter().map(|size| check.compare(context, size))))
}

/// Whether a dense layer by `variant` has, with `epilogue`.
pub(super) fn of_product(context: &Context, variant: Variant, types: Types, epilogue: Epilogue) -> bool {
    if variant == Variant::Plain {
        // There is nothing to fall back to; the doctor and the tests check it.
        return true;
    }
    let compare = |size: &[usize; 3]| doctor::compare_linear(context, variant, types, &[epilogue], size, 1);
    let what =
        format!("linear {} {} {}", variant.name(), super::name_of(types), format!("{epilogue:?}").to_lowercase());
    believed(context, &what, || proven(PRODUCTS.iter().map(compare)))
}

/// Which variant is to norm `rows` rows of `width` numbers: the subgroups' where it has.
pub(crate) fn of_norm(context: &Context, [rows, width]: [usize; 2], output: Precision, gathers: bool) -> gpu::Variant {
    let used = NormUse { variant: gpu::Variant::Subgroup, output, gathers };
    let many = rows >= layer_norm::MANY as usize;
    let rows: &[usize] = if many { &[layer_norm::MANY as usize + 17] } else { &[1, 9, 33] };
    let compare = |&rows: &usize| used.compare(context, [rows, width], 1);
    let what = format!("{used} {width} wide{}", if many { " many rows" } else { "" });
    subgroups_if(context, || believed(context, &what, || proven(rows.iter().map(compare))))
}

/// Whether attention has, for `tokens` tokens and heads of `head` dimensions.
pub(crate) fn of_attention(context: &Context, used: AttentionUse, tokens: usize, head: usize) -> bool {
    // A tile of octets is of as many queries as suits the tokens; the others' are of one size.
    let octets = used.way == AttentionWay::Of(gpu::Variant::Subgroup);
    let groups = |tokens: usize| if octets { octet::groups(tokens) } else { 1 };
    let sizes = ATTENTIONS.iter().filter(|size| groups(size[1]) == groups(tokens));
    let compare = |&[images, tokens, heads]: &[usize; 3]| used.compare(context, [images, tokens, heads, head], 1);
    let tile = if octets { format!(" {} queries", 8 * groups(tokens)) } else { String::new() };
    believed(context, &format!("{used} {head} wide{tile}"), || proven(sizes.map(compare)))
}

/// Whether means of attention over heads have, for `patches` patch tokens.
pub(crate) fn of_means(context: &Context, used: MeanUse, patches: usize) -> bool {
    let octets = used.variant == gpu::Variant::Subgroup;
    let groups = |patches: usize| if octets && used.all { octet::groups(patches) } else { 1 };
    let sizes = ATTENTIONS.iter().filter(|size| groups(size[1]) == groups(patches));
    let compare = |&[images, patches, heads]: &[usize; 3]| used.compare(context, [images, patches, 2, heads, 64], 1);
    let tile = if octets { format!(" {} queries", 8 * groups(patches)) } else { String::new() };
    believed(context, &format!("{used}{tile}"), || proven(sizes.map(compare)))
}

/// How cosines of unit rows are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cosines {
    /// Of f32.
    Of(gpu::Variant),
    /// Of f16, by cooperative matrices.
    Cooperative,
}

/// How the cosines of `tokens` unit rows of `inner` dimensions are to be made, where weights and activations are stored in
/// `precision`: by cooperative matrices, else the subgroups' variant, where it has. Of rows in a texture by the latter only.
pub(crate) fn of_cosines(context: &Context, [tokens, inner]: [usize; 2], precision: Precision, home: Home) -> Cosines {
    // On CPUs they are emulated, and slow.
    let is_cooperative = precision == Precision::F16
        && home == Home::Buffer
        && !context.is_emulated()
        && query_key::cooperative::takes(context, inner);
    let compare = |&[images, tokens, _]: &[usize; 3]| doctor::compare_cosines(context, [images, tokens, inner], 1);
    if is_cooperative
        && believed(context, &format!("query_key cooperative of {inner}"), || proven(ATTENTIONS.iter().map(compare)))
    {
        return Cosines::Cooperative;
    }
    let (variant, precision) = (gpu::Variant::Subgroup, Precision::F32);
    let used = ProductsUse { variant, precision, products: Products::Cosines, home };
    let groups = octet::groups(tokens);
    let sizes = ATTENTIONS.iter().filter(|size| octet::groups(size[1]) == groups);
    let compare = |&[images, tokens, _]: &[usize; 3]| used.compare(context, [images, tokens, 1, 64], 1);
    let believed = || believed(context, &format!("{used} {} rows", 8 * groups), || proven(sizes.map(compare)));
    Cosines::Of(subgroups_if(context, believed))
}

/// Which way a convolution with ReLU is to be made, where weights and activations are stored in `precision` and its own
/// weights lie in `home`: by cooperative matrices where they are no emulation, by subgroups on CPUs that emulate a GPU, if it
/// has.
pub(crate) fn of_convolution(
    context: &Context,
    precision: Precision,
    (params, window): (&convolve::Params, convolve::Window),
    home: Home,
) -> convolve::Variant {
    let variant = match precision {
        _ if context.is_emulated() => convolve::Variant::Subgroup,
        Precision::F16 => convolve::Variant::Cooperative,
        Precision::F32 => return convolve::Variant::Plain,
    };
    if variant.home() != home || !variant.available(context) {
        return convolve::Variant::Plain;
    }
    let used = ConvolutionUse { variant, window, relu: true };
    let whole = variant == convolve::Variant::Cooperative && convolve::cooperative::is_whole(context, params.inputs);
    let octets = variant == convolve::Variant::Subgroup;
    let groups = |side: usize| if octets { octet::groups(window.out_side(side)) } else { 1 };
    // Images, channels out, pixels of y along a side: below, at and past the edges of what a workgroup makes.
    let sizes = [[1, 4, 1], [2, 64, 8], [1, 68, 13], [2, 60, 16], [1, 20, 21], [1, 68, 24]];
    let sizes = sizes.map(|[images, outputs, out]| {
        let covered = (out - 1) * window.stride + window.kernel;
        [images, params.inputs as usize, outputs, covered.saturating_sub(2 * window.padding).max(window.kernel)]
    });
    let sizes = sizes.iter().filter(|size| groups(size[3]) == groups(params.side as usize));
    let compare = |&size: &[usize; 4]| used.compare(context, size, 1);
    let tile = if octets { format!(" {} pixels", 8 * groups(params.side as usize)) } else { String::new() };
    let slabs = if whole { " of whole slabs" } else { "" };
    match believed(context, &format!("{used}{tile}{slabs}"), || proven(sizes.map(compare))) {
        true => variant,
        false => convolve::Variant::Plain,
    }
}

/// Which variant is to make the score: the subgroups' where it has.
pub(crate) fn of_score(context: &Context, used: ScoreUse) -> gpu::Variant {
    let compare = |size: &[usize; 2]| used.compare(context, *size, 1);
    subgroups_if(context, || believed(context, &used.to_string(), || proven(SCORES.iter().map(compare))))
}

fn subgroups_if(context: &Context, right: impl FnOnce() -> bool) -> gpu::Variant {
    match gpu::Variant::Subgroup.available(context) && right() {
        true => gpu::Variant::Subgroup,
        false => gpu::Variant::Plain,
    }
}

/// Which variant is to match `dropped` tokens: the subgroups' on CPUs that emulate a GPU, if it has.
pub(crate) fn of_matching(context: &Context, used: AssignUse, dropped: usize) -> gpu::Variant {
    // A driver for GPUs took 12 seconds to compile every form of this one, which then was as fast as the plain kernel.
    if !context.is_emulated() {
        return gpu::Variant::Plain;
    }
    let several = |dropped: usize| dropped > octet::OCTETS;
    let sizes = MATCHES.iter().filter(|size| several(size[2]) == several(dropped));
    let compare = |size: &[usize; 3]| used.compare(context, *size, 1);
    let tile = if several(dropped) { 16 } else { 8 };
    subgroups_if(context, || believed(context, &format!("{used} {tile} tokens"), || proven(sizes.map(compare))))
}

/// Whether every comparison passed that the device has room for, and at least one had.
fn proven(comparisons: impl Iterator<Item = Result<Difference>>) -> bool {
    let mut passed = 0;
    for comparison in comparisons {
        match comparison {
            Ok(difference) if difference.passed() => passed += 1,
            Err(Error::Limit { .. }) => {}
            _ => return false,
        }
    }
    passed > 0
}

/// Whether `what` matches its twin on this device: remembered, or found by `compare`.
fn believed(context: &Context, what: &str, compare: impl FnOnce() -> bool) -> bool {
    let name = format!("{what} matches its twin");
    if let Some(known) = context.choices().get(&name) {
        return known == "yes";
    }
    let start = Instant::now();
    tracing::debug!(what, "comparing with its twin");
    let right = compare();
    tracing::debug!(what, right, seconds = start.elapsed().as_secs_f64(), "compared with its twin");
    if !right {
        tracing::warn!(what, right, "a kernel is wrong on this device and not used");
    }
    // A device that is lost says nothing about the kernel.
    if context.healthy("").is_ok() {
        context.choices().set(name, if right { "yes" } else { "no" });
    }
    right
}
