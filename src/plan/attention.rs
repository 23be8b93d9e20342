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
}

impl Attention {
    /// Every way.
    pub const ALL: [Self; 4] = [
        Self::Stored(Variant::Plain),
        Self::Stored(Variant::Subgroup),
        Self::Fused(Variant::Plain),
        Self::Fused(Variant::Subgroup),
    ];

    /// The variant of its kernels.
    pub fn variant(self) -> Variant {
        match self {
            Self::Stored(variant) | Self::Fused(variant) => variant,
        }
    }

    /// Whether heads of `head` dimensions can run so.
    pub fn takes(self, head: usize) -> bool {
        matches!(self, Self::Stored(_)) || head <= WIDEST_HEAD
    }
}
