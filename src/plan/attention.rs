//! How attention runs.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
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
    /// As `Fused`, by cooperative matrices, of f16: for heads of whole matrices. Dominance alone is made plainly.
    Cooperative,
}

impl Attention {
    /// Every way.
    pub const ALL: [Self; 6] = [
        Self::Stored(Variant::Plain),
        Self::Stored(Variant::Subgroup),
        Self::Fused(Variant::Plain),
        Self::Fused(Variant::Subgroup),
        Self::Emitting,
        Self::Cooperative,
    ];

    /// What [`FromStr`] takes: `stored_plain`, `stored_subgroup`, `fused_plain`, `fused_subgroup`, `emitting`,
    /// `cooperative`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stored(Variant::Plain) => "stored_plain",
            Self::Stored(Variant::Subgroup) => "stored_subgroup",
            Self::Fused(Variant::Plain) => "fused_plain",
            Self::Fused(Variant::Subgroup) => "fused_subgroup",
            Self::Emitting => "emitting",
            Self::Cooperative => "cooperative",
        }
    }

    /// The variant of its kernels.
    pub fn variant(self) -> Variant {
        match self {
            Self::Stored(variant) | Self::Fused(variant) => variant,
            Self::Emitting => Variant::Subgroup,
            Self::Cooperative => Variant::Plain,
        }
    }

    /// Whether heads of `head` dimensions can run so.
    pub fn takes(self, head: usize) -> bool {
        matches!(self, Self::Stored(_)) || head <= WIDEST_HEAD
    }
}

impl fmt::Display for Attention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Attention {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|attention| attention.name() == text)
            .ok_or_else(|| Error::config("attention", Self::ALL.map(Self::name).join(", "), text))
    }
}

#[cfg(test)]
mod tests {
    use super::Attention;

    #[test]
    fn names_are_read_back_and_others_are_refused_by_what_there_is() {
        for attention in Attention::ALL {
            assert_eq!(attention.to_string().parse::<Attention>().unwrap(), attention);
        }
        let error = "flash".parse::<Attention>().unwrap_err().to_string();
        assert!(error.contains("emitting") && error.contains("flash"), "{error}");
    }
}
