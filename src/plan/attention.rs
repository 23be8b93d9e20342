//! How attention runs.

use crate::gpu::Variant;
use crate::kernels::attention::WIDEST_HEAD;

/// How attention runs: with which kernels, and which variant of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attention {
    /// Logits, softmax and the product with the values one after the other: P [B, H, T, T] is stored.
    Stored(Variant),
    /// In one kernel, which never stores P. Where a condensation needs W or dominance, they are made from queries and
    /// keys once more. For heads of at most [`WIDEST_HEAD`] dimensions.
    Fused(Variant),
    /// As `Fused` in octets, but where a condensation needs W, what makes it of the powers in the softmax is stored:
    /// cheaper than making the powers once more where arithmetic is dearer than memory.
    Emitting,
}

impl Attention {
    /// Every way.
    pub const ALL: [Self; 5] = [
        Self::Stored(Variant::Plain),
        Self::Stored(Variant::Subgroup),
        Self::Fused(Variant::Plain),
        Self::Fused(Variant::Subgroup),
        Self::Emitting,
    ];

    /// The variant of its kernels.
    pub fn variant(self) -> Variant {
        match self {
            Self::Stored(variant) | Self::Fused(variant) => variant,
            Self::Emitting => Variant::Subgroup,
        }
    }

    /// Whether heads of `head` dimensions can run so.
    pub fn takes(self, head: usize) -> bool {
        matches!(self, Self::Stored(_)) || head <= WIDEST_HEAD
    }
}
