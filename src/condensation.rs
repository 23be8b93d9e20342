//! The options of a condensation: which tokens are dropped, how, and how many. They cover connectivity-based token
//! condensation (TC-ViT), the training-free condensation that this crate adds, and the methods that both are compared
//! with.

mod names;
mod needs;
mod schedule;
mod text;

use crate::error::{Error, Result};

pub use schedule::Schedule;
pub use text::OPTIONS;

/// The names that [`Condensation::preset`] takes.
pub const PRESETS: &[&str] = &["paper", "literal", "training_free", "tome", "evit", "prune", "random"];

/// The method that decides which tokens are dropped and what becomes of them: connectivity, or one of the methods that
/// it is compared with. All use the same kernels, schedule and remaining forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reducer {
    /// Connectivity-based condensation (TC-ViT). Every option of [`Condensation`] applies.
    Connectivity,
    /// Bipartite soft matching of ToMe (Bolya et al., 2023). The tokens are dealt alternately into two sets. Each token
    /// of the first set is paired with the token of the second set whose head-averaged key has the largest cosine with
    /// its own key. The R pairs with the largest cosines are replaced by size-weighted means. The rest of the first set
    /// then precedes the second set, as in the public implementation. A block can drop at most the first set, which is
    /// half of the patch tokens.
    Tome,
    /// EViT (Liang et al., 2022): the tokens with the most class attention are kept. The others are replaced by their
    /// sum, weighted by class attention and not divided by its total, as in the public implementation. The sum takes
    /// the place of the last token that would have been kept, so that the token count still falls by R.
    Evit,
    /// The tokens with the most class attention are kept; the others are discarded.
    Prune,
    /// Random tokens are discarded, the same ones in every image. This is the baseline: a method pays only if it loses
    /// less than this one.
    Random {
        /// Each seed selects other tokens.
        seed: u64,
    },
}

/// How W, the connectivity of order 1, is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Metric {
    /// Attention probabilities, averaged over heads.
    Attention,
    /// Row softmax of the cosine of head-averaged keys over 0.1 (ToMe's metric, not in the paper).
    KeyCosine,
    /// Row softmax of the cosine of tokens over 0.1, taken after attention's residual is added.
    Cosine,
    /// Row softmax of tokens' dot products over sqrt(D).
    Dot,
    /// Row softmax of tokens' negated distances.
    Euclidean,
}

/// How C is computed from W.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Eq. 8: W + a W^2 + ... + a^(K-1) W^K.
    PowerSum,
    /// Newton's iteration, eqs. 9 and 10 as printed, with this many steps (0 to 3). It does not converge on trained
    /// models (`docs/CONDENSATION.md`).
    Newton(u32),
}

/// How the members of a fused token are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// No fusing: dropped tokens are discarded.
    None,
    /// By connectivity to the kept token (eq. 12).
    Connectivity,
    /// By the number of patches that each token stands for.
    Size,
}

/// Which mean of C gives a token's mean connectivity c.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mean {
    /// The mean over rows i of C[i, j], which says how well token j represents the others.
    Column,
    /// The mean over columns j of C[i, j].
    Row,
}

/// How tokens are scored. The tokens with the highest scores are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Score {
    /// Eq. 11: -c + b D, with D the dominance.
    Combined,
    /// -c
    Connectivity,
    /// D
    Dominance,
    /// (1 - u) D^g size^h, where D is the dominance and u the token's largest cosine with any token of more dominance
    /// (not in the paper). The cosines are those of tokens with the metric `cosine`, and those of head-averaged keys
    /// otherwise. Of two nearly equal tokens, u lowers only the score of the less dominant one. An h above 0 raises the
    /// score of tokens that stand for many patches.
    Uniqueness {
        /// g
        exponent: f32,
        /// h
        size_exponent: f32,
    },
}

/// Which part of C is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Path {
    /// Only the rows and sums of C that the condensation uses. This is the faster path.
    Thin,
    /// All of C, by repeated squaring or by Newton's matrix products. This path serves to inspect C and to verify the
    /// thin path.
    Dense,
}

/// The arithmetic from W to C.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chain {
    /// K, at least 1.
    pub order: u32,
    /// a
    pub alpha: f32,
    /// Number of steps of eq. 10; `None` for the exact power sum.
    pub newton_steps: Option<u32>,
}

impl Chain {
    /// C = W, for a matrix that already is C.
    pub const IDENTITY: Self = Self { order: 1, alpha: 1.0, newton_steps: None };

    /// The factor by which the kernel's results are smaller than C: C = scale * result. Infinite when f32 cannot hold
    /// it.
    pub fn scale(&self) -> f32 {
        let power = if self.newton_steps.is_some() { self.order } else { self.order - 1 };
        self.alpha.max(1.0).powi(power as i32)
    }
}

/// Everything about a condensation. Start from a preset, then change fields.
///
/// ```
/// use tcvit::condensation::{Condensation, Method};
/// let mut condensation = Condensation::paper().drop_per_block(16);
/// condensation.method = Method::Newton(2);
/// assert!(condensation.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Condensation {
    /// The method. Only [`Reducer::Connectivity`] reads the options from `metric` to `weights`, and `path`.
    pub reducer: Reducer,
    /// How W is computed.
    pub metric: Metric,
    /// How C is computed from W.
    pub method: Method,
    /// K, from 1.
    pub order: u32,
    /// a, positive.
    pub alpha: f32,
    /// b
    pub beta: f32,
    /// Whether c is divided by its own sum before it is combined with D.
    pub normalise: bool,
    /// Which mean of C is c.
    pub mean: Mean,
    /// How tokens are scored.
    pub score: Score,
    /// How the members of a fused token are weighted; [`Weights::None`] prunes instead.
    pub weights: Weights,
    /// Whether ln(size) of each key's token is added to the attention logits, so that a token that stands for several
    /// patches counts as that many tokens.
    pub proportional_attention: bool,
    /// R of each block.
    pub schedule: Schedule,
    /// Whether all of C is computed.
    pub path: Path,
}

impl Condensation {
    /// The paper's options: K = 2, a = 500, b = 3.5 and the metric `attention`, but with the exact power sum and a
    /// normalised c. This preset suits models that were fine-tuned with it.
    pub fn paper() -> Self {
        Self {
            reducer: Reducer::Connectivity,
            metric: Metric::Attention,
            method: Method::PowerSum,
            order: 2,
            alpha: 500.0,
            beta: 3.5,
            normalise: true,
            mean: Mean::Column,
            score: Score::Combined,
            weights: Weights::Connectivity,
            proportional_attention: false,
            schedule: Schedule::Auto,
            path: Path::Thin,
        }
    }

    /// Every equation of the paper as printed, with two Newton steps and without normalising c. For comparison.
    pub fn literal() -> Self {
        Self { method: Method::Newton(2), normalise: false, ..Self::paper() }
    }

    /// The preset for models that were not fine-tuned with condensation. The score is `uniqueness` from cosines of
    /// tokens, with g = 0 and h = 0.5. Dropped tokens are matched by the same cosines and averaged by size, and
    /// attention is proportional.
    pub fn training_free() -> Self {
        Self {
            metric: Metric::Cosine,
            order: 1,
            score: Score::Uniqueness { exponent: 0.0, size_exponent: 0.5 },
            weights: Weights::Size,
            proportional_attention: true,
            ..Self::paper()
        }
    }

    /// ToMe with proportional attention: see [`Reducer::Tome`].
    pub fn tome() -> Self {
        Self { reducer: Reducer::Tome, proportional_attention: true, ..Self::paper() }
    }

    /// EViT: see [`Reducer::Evit`].
    pub fn evit() -> Self {
        Self { reducer: Reducer::Evit, ..Self::paper() }
    }

    /// Pruning by class attention: see [`Reducer::Prune`].
    pub fn prune() -> Self {
        Self { reducer: Reducer::Prune, ..Self::paper() }
    }

    /// Pruning at random: see [`Reducer::Random`].
    pub fn random(seed: u64) -> Self {
        Self { reducer: Reducer::Random { seed }, ..Self::paper() }
    }

    /// The preset called `name`; [`PRESETS`] lists the names.
    ///
    /// # Errors
    /// [`Error::Config`] for another name.
    pub fn preset(name: &str) -> Result<Self> {
        match name {
            "paper" => Ok(Self::paper()),
            "literal" => Ok(Self::literal()),
            "training_free" => Ok(Self::training_free()),
            "tome" => Ok(Self::tome()),
            "evit" => Ok(Self::evit()),
            "prune" => Ok(Self::prune()),
            "random" => Ok(Self::random(1)),
            _ => Err(Error::config("condensation preset", format!("one of {}", PRESETS.join(", ")), name)),
        }
    }

    /// Checks everything that can be checked without a model.
    ///
    /// # Errors
    /// [`Error::Config`] naming the option.
    pub fn validate(&self) -> Result<()> {
        let refuse = |option: &str, expected: &str, got: String| {
            Err(Error::config(format!("condensation option {option}"), expected, got))
        };
        if !(1..=1024).contains(&self.order) {
            return refuse("order", "K from 1 to 1024", self.order.to_string());
        }
        if !(self.alpha > 0.0 && self.alpha <= 1e6) {
            return refuse("alpha", "a number above 0, at most 1e6", self.alpha.to_string());
        }
        if !self.beta.is_finite() {
            return refuse("beta", "a finite number", self.beta.to_string());
        }
        if let Method::Newton(steps) = self.method
            && steps > 3
        {
            return refuse("method", "0 to 3 Newton steps", steps.to_string());
        }
        if let Score::Uniqueness { exponent, size_exponent } = self.score {
            for (option, value) in [("exponent", exponent), ("size_exponent", size_exponent)] {
                if !(0.0..=16.0).contains(&value) {
                    return refuse(option, "a number from 0 to 16", value.to_string());
                }
            }
        }
        self.schedule.validate()?;
        let scale = self.chain().scale();
        let representable = scale.is_finite() && scale <= 1e30;
        if self.uses_connectivity_score() && !self.normalise && !representable {
            return refuse(
                "normalise",
                "alpha^(K-1) (alpha^K with Newton) of at most 1e30 when c is not normalised, or normalise on",
                format!("alpha {}, K {}", self.alpha, self.order),
            );
        }
        Ok(())
    }

    /// The arithmetic from W to C.
    pub fn chain(&self) -> Chain {
        let newton_steps = match self.method {
            Method::PowerSum => None,
            Method::Newton(steps) => Some(steps),
        };
        Chain { order: self.order, alpha: self.alpha, newton_steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_represented_is_refused() {
        let mut c = Condensation::paper();
        c.order = 32;
        assert!(c.validate().is_ok());
        c.normalise = false;
        assert!(c.validate().unwrap_err().to_string().contains("1e30"));
        let refused: [fn(&mut Condensation); 5] = [
            |c| c.order = 0,
            |c| c.alpha = f32::NAN,
            |c| c.beta = f32::INFINITY,
            |c| c.method = Method::Newton(4),
            |c| c.score = Score::Uniqueness { exponent: -1.0, size_exponent: 0.0 },
        ];
        for (index, change) in refused.into_iter().enumerate() {
            let mut c = Condensation::paper();
            change(&mut c);
            assert!(c.validate().is_err(), "change {index}");
        }
    }
}
