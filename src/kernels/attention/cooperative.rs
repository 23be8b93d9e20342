//! Attention by cooperative matrices: f16 times f16, summed in f32.

use std::ops::RangeInclusive;

use super::{Call, Params};
use crate::gpu::{COOPERATIVE, Form, Home, Precision, Tile, Traits, Way, grid, kernel};

kernel! {
    /// A subgroup takes as many queries as a matrix has rows. Logits and their exponentials pass through workgroup
    /// memory.
    pub static KERNEL = "attention_cooperative" in "block/attention_cooperative.wgsl";
    params Params;
    bindings { qkv: read, queries: read, sizes: read, y: write, rows: write }
    overrides {
        PROPORTIONAL: [0, 1], SUBGROUPS: [4, 5, 6, 7], OTHERS: [0, 1], HEAD: [1, 2, 3, 4, 5, 6, 7, 8],
        // 4 to 7 subgroups of 8 to 128 threads each.
        THREADS: [
            32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896,
        ],
    }
    // The shader's default. A call has as many subgroups as suit its tokens and the adapter.
    workgroup [128, 1, 1];
    features COOPERATIVE;
    way of "attention";
}

pub(super) const WAY: Way<Call> = Way {
    name: "cooperative",
    kernel: &KERNEL,
    is_fallback: false,
    takes: |traits, call| {
        (call.types.input, call.types.home) == (Precision::F16, Home::Buffer)
            && takes(traits, call.params.head4 as usize * 4)
    },
    // On a software adapter cooperative matrices are slow.
    cost: |traits, _| (!traits.loads_are_dear).then_some(1.0),
    form,
};

fn form(traits: &Traits, call: &Call) -> Form {
    let Params { tokens, heads, images, head4, .. } = call.params;
    let (constants, rows) = constants(traits, Work::Output, tokens, head4 * 4, call.proportional);
    Form::plain(grid(tokens.div_ceil(rows) as usize * heads as usize * images as usize))
        .of(call.types.tiled(traits.tile.unwrap_or_default()))
        .with(constants)
}

/// The most matrices, side by side, that a head may take.
const WIDEST: u32 = 8;

/// The kernel that a workgroup runs. The two kernels hold different data in workgroup memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// [`KERNEL`] holds exponentials, keys and values.
    Output,
    /// [`attention_mean`](crate::kernels::attention_mean::cooperative) holds queries and keys.
    Mean,
}

impl Work {
    /// The possible numbers of subgroups in a workgroup, which go over the same keys. They are few, so that an NVIDIA
    /// multiprocessor has room for two workgroups with heads of 64 dimensions, which need about 24 KB each.
    fn subgroups(self) -> RangeInclusive<u32> {
        match self {
            Self::Output => 4..=7,
            Self::Mean => 4..=5,
        }
    }

    /// f16 numbers in workgroup memory. Rows of matrices lie 16 bytes further apart than they are long.
    fn halves(self, side: u32, head: u32, subgroups: u32) -> u32 {
        let keys = 2 * side;
        match self {
            Self::Output => subgroups * side * (side + 8) + 2 * keys * (head + 8),
            Self::Mean => (subgroups * side + keys) * (head + 8),
        }
    }

    /// Whether the device has room for workgroups of `subgroups` subgroups.
    fn fits(self, traits: &Traits, head: u32, subgroups: u32) -> bool {
        let side = traits.side();
        let sums = (subgroups + others(traits)) * side * (side + 4);
        let memory = 2 * self.halves(side, head, subgroups) + 4 * sums;
        traits.has_room(subgroups * traits.subgroup_sizes[1], memory)
    }
}

/// 1 if a workgroup may have more subgroups than it needs, because they are smaller than the largest; these have a slot
/// in workgroup memory together. Otherwise 0.
fn others(traits: &Traits) -> u32 {
    u32::from(!traits.subgroups_are_alike())
}

/// Whether a device that supports [`KERNEL`] can run it, and the cooperative kernel of `attention_mean`, for heads of
/// `head` dimensions. Heads must be 1 to [`WIDEST`] matrices wide, subgroups must be large enough, and workgroup memory
/// must have room.
pub(crate) fn takes(traits: &Traits, head: usize) -> bool {
    let (side, head) = (traits.side(), head as u32);
    head.is_multiple_of(side)
        && (1..=WIDEST).contains(&(head / side))
        && traits.subgroup_sizes[0] * 8 >= side * side
        && [Work::Output, Work::Mean]
            .into_iter()
            .all(|work| work.subgroups().any(|subgroups| work.fits(traits, head, subgroups)))
}

/// The constants of this kernel or of [`attention_mean`](crate::kernels::attention_mean::cooperative), and the number
/// of queries of a workgroup. The number of subgroups is the one that leaves the fewest rows past the last of
/// `queries`.
pub(crate) fn constants(
    traits: &Traits,
    work: Work,
    queries: u32,
    head: u32,
    proportional: bool,
) -> ([(&'static str, u32); 5], u32) {
    let side = traits.side();
    let padded = |subgroups: &u32| (queries.next_multiple_of(subgroups * side), u32::MAX - subgroups);
    let fitting = work.subgroups().filter(|&subgroups| work.fits(traits, head, subgroups));
    let subgroups = fitting.min_by_key(padded).unwrap_or(*work.subgroups().start());
    let constants = [
        ("PROPORTIONAL", u32::from(proportional)),
        ("SUBGROUPS", subgroups),
        ("THREADS", subgroups * traits.subgroup_sizes[1]),
        ("OTHERS", others(traits)),
        ("HEAD", head / side),
    ];
    (constants, subgroups * side)
}

/// The most tokens that a matrix of queries has. `qkv` must have room for as many, even if the images have fewer.
pub const MOST_ROWS: usize = Tile::Sixteen.side() as usize;
