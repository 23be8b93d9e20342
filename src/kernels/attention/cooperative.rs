//! Attention by cooperative matrices: f16 times f16, summed in f32.

use std::ops::RangeInclusive;

use super::{Bindings, Params};
use crate::error::{Error, Result};
use crate::gpu::{Binding, COOPERATIVE, Context, Kernel, Operand, Recorder, Tile, Types, grid};
use crate::kernels::linear::cooperative::tile;

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "attention_cooperative",
    shader: "block/attention_cooperative.wgsl",
    bindings: &[
        Binding::read("qkv"),
        Binding::read("queries"),
        Binding::read("sizes"),
        Binding::write("y"),
        Binding::write("rows"),
    ],
    // By an override: as many of the adapter's subgroups as suit the tokens.
    workgroup_size: [128, 1, 1],
    features: COOPERATIVE,
    variant_of: Some("attention"),
    ..super::KERNEL
};

/// The most matrices, side by side, that a head may take.
const WIDEST: usize = 8;

/// Which of the kernels that go over rows of logits: they differ in what they hold in workgroup memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Powers, keys and values.
    Output,
    /// Queries and keys: [`attention_mean`](crate::kernels::attention_mean::cooperative).
    Mean,
}

impl Work {
    /// Subgroups of a workgroup, as many as share the keys that they go over: few enough that NVIDIA's cores have room for
    /// two workgroups with heads of 64 dimensions, about 24 KB each.
    fn subgroups(self) -> RangeInclusive<usize> {
        match self {
            Self::Output => 4..=7,
            Self::Mean => 4..=5,
        }
    }

    /// Numbers of f16 in workgroup memory. Rows of matrices are 16 bytes apart.
    fn halves(self, side: usize, head: usize, subgroups: usize) -> usize {
        let keys = 2 * side;
        match self {
            Self::Output => subgroups * side * (side + 8) + 2 * keys * (head + 8),
            Self::Mean => (subgroups * side + keys) * (head + 8),
        }
    }
}

/// 1 where a workgroup may have more subgroups than it was made for, which then have a place in workgroup memory, else 0.
fn others(context: &Context) -> usize {
    usize::from(context.info().subgroup_min_size != context.info().subgroup_max_size)
}

/// Whether `context` has room for workgroups of so many subgroups.
fn fits(context: &Context, work: Work, side: usize, head: usize, subgroups: usize) -> bool {
    let limits = context.limits();
    let sums = (subgroups + others(context)) * side * (side + 4);
    let memory = 2 * work.halves(side, head, subgroups) + 4 * sums;
    let threads = subgroups * context.info().subgroup_max_size as usize;
    memory <= limits.max_compute_workgroup_storage_size as usize
        && threads <= limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x) as usize
}

/// Whether `context` can run it for heads of `head` dimensions: whole matrices, few enough, of subgroups as large as it
/// takes, with room for a workgroup.
pub fn takes(context: &Context, head: usize) -> bool {
    let side = context.cooperative_tile().unwrap_or_default().side() as usize;
    context.supports(&KERNEL)
        && head.is_multiple_of(side)
        && (1..=WIDEST).contains(&(head / side))
        && context.info().subgroup_min_size as usize * 8 >= side * side
        && [Work::Output, Work::Mean]
            .into_iter()
            .all(|work| work.subgroups().any(|subgroups| fits(context, work, side, head, subgroups)))
}

/// The constants of this kernel and of [`attention_mean`](crate::kernels::attention_mean::cooperative), and how many rows
/// one of their workgroups has: as few as possible go past the last of `queries`.
pub(crate) fn constants(
    context: &Context,
    work: Work,
    queries: usize,
    head: usize,
    proportional: bool,
) -> Result<(Vec<(&'static str, f64)>, usize)> {
    let side = tile(context)?.side() as usize;
    if !takes(context, head) {
        let got = format!("{head} dimensions on {}", context.describe());
        return Err(Error::limit(KERNEL.name, "heads of 1 to 8 whole matrices, and room for them", got));
    }
    let padded = |subgroups: &usize| (queries.next_multiple_of(subgroups * side), usize::MAX - subgroups);
    let fitting = work.subgroups().filter(|&subgroups| fits(context, work, side, head, subgroups));
    let subgroups = fitting.min_by_key(padded).unwrap_or(*work.subgroups().start());
    let constants = vec![
        ("PROPORTIONAL", f64::from(u8::from(proportional))),
        ("SUBGROUPS", subgroups as f64),
        ("THREADS", subgroups as f64 * f64::from(context.info().subgroup_max_size)),
        ("OTHERS", others(context) as f64),
        ("HEAD", (head / side) as f64),
    ];
    Ok((constants, subgroups * side))
}

/// The most tokens that a matrix of queries has, which `qkv` must have whatever the images have.
pub const MOST_ROWS: usize = Tile::Sixteen.side() as usize;

/// Records one dispatch. `qkv` must have as many tokens as a matrix has rows, at most [`MOST_ROWS`], whatever the images have:
/// queries are loaded by whole matrices.
///
/// # Errors
/// [`Error::Device`] without cooperative matrices, [`Error::Limit`] for heads that are not [taken](takes), else as
/// [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    types: Types,
    params: Params,
    proportional: bool,
    bindings: Bindings<'_>,
) -> Result<()> {
    let (heads, tokens, images) = (params.heads as usize, params.tokens as usize, params.images as usize);
    let context = recorder.context();
    let (constants, rows) = constants(context, Work::Output, tokens, params.head4 as usize * 4, proportional)?;
    let tile = tile(context)?;
    let types = types.tiled(tile);
    // Matrices of queries are loaded whole.
    let whole = (images * tokens).max(tile.side() as usize);
    recorder.dispatch_typed(
        &KERNEL,
        types,
        &constants,
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.qkv, types.input.words(images * tokens * params.row4 as usize * 4)),
            Operand::buffer(bindings.qkv, types.input.words(whole * params.row4 as usize * 4)),
            Operand::buffer(bindings.sizes, images * tokens),
            Operand::buffer(bindings.y, types.output.words(images * tokens * heads * params.head4 as usize * 4)),
            Operand::buffer(bindings.rows, images * heads * tokens * 2),
        ],
        grid(tokens.div_ceil(rows) * heads * images),
    )
}
