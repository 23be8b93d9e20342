//! The routes of attention.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::kernels::attention::WIDEST_HEAD;

/// The route of attention: which kernels compute it, and which results they leave for a condensation. Each of these
/// kernels may itself have several ways ([`ways`](crate::low_level::ways)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Attention {
    /// Logits, softmax and the product with the values, by one kernel after the other. P [B, H, T, T] is stored.
    #[default]
    Stored,
    /// One kernel, which never stores P. When a condensation needs W or dominance, other kernels compute them from
    /// queries and keys again. Heads may have at most [`WIDEST_HEAD`] dimensions.
    Fused,
    /// Like `Fused`, but cooperative matrices of f16 compute attention and W. They do not compute dominance if W is not
    /// needed. Heads must be as wide as 1 to 8 whole matrices.
    Cooperative,
}

impl Attention {
    /// Every route.
    pub const ALL: [Self; 3] = [Self::Stored, Self::Fused, Self::Cooperative];

    /// The name that [`FromStr`] takes: `stored`, `fused`, `cooperative`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Fused => "fused",
            Self::Cooperative => "cooperative",
        }
    }

    /// Whether this route takes heads of `head` dimensions.
    pub fn takes(self, head: usize) -> bool {
        self == Self::Stored || head <= WIDEST_HEAD
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
    fn names_are_read_back_and_others_are_refused_with_a_list() {
        for attention in Attention::ALL {
            assert_eq!(attention.to_string().parse::<Attention>().unwrap(), attention);
        }
        let error = "flash".parse::<Attention>().unwrap_err().to_string();
        assert!(error.contains("fused") && error.contains("flash"), "{error}");
    }
}
