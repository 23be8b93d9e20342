//! What is condensed, how, and how much: the options of connectivity-based token condensation (TC-ViT) and of the
//! training-free variant that this crate adds.

use crate::error::{Error, Result};

/// Where W, the connectivity of order 1, comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Metric {
    /// Attention probabilities, averaged over heads.
    Attention,
    /// Row softmax of the cosine of head-averaged keys over 0.1 (ToMe's metric, not in the paper).
    KeyCosine,
}

/// How C follows from W.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Eq. 8: W + a W^2 + ... + a^(K-1) W^K.
    PowerSum,
    /// Eqs. 9 and 10 as printed, with this many steps (0 to 3). Diverges on trained models: see the crate's README.
    Newton(u32),
}

/// How members of a group count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Dropped tokens vanish.
    None,
    /// By connectivity to the kept token (eq. 12).
    Connectivity,
    /// By how many patches each stands for.
    Size,
}

/// Which mean of C is a token's connectivity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mean {
    /// Over rows i of C[i, j]: how well j represents the others.
    Column,
    /// Over columns j of C[i, j].
    Row,
}

/// What ranks tokens: the highest stay.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Score {
    /// Eq. 11: -c + b D.
    Combined,
    /// -c
    Connectivity,
    /// D
    Dominance,
    /// (1 - u) D^g with u the largest key cosine to a token of more dominance (not in the paper).
    Uniqueness {
        /// g
        exponent: f32,
    },
}

/// Whether C is formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Path {
    /// Only the rows and sums of C that are used: the fast way.
    Thin,
    /// All of C, by repeated squaring or Newton's matrix products: for inspecting C, and as a check of the other.
    Dense,
}

/// How many patch tokens go in each block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schedule {
    /// A constant R that suits the model: 7 % of its patch tokens, fewer where it is so deep that less than 15 % of them
    /// would be left. 14 for 196 patch tokens and 12 blocks, the paper's R for DeiT-Tiny.
    Auto,
    /// The same R in every block (the paper's).
    Constant(usize),
    /// R for each block.
    PerBlock(Vec<usize>),
}

/// The arithmetic from W to C.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chain {
    /// K, at least 1.
    pub order: u32,
    /// a
    pub alpha: f32,
    /// Steps of eq. 10, or the exact power sum.
    pub newton_steps: Option<u32>,
}

impl Chain {
    /// C = W: what a matrix that already is C goes through.
    pub const IDENTITY: Self = Self { order: 1, alpha: 1.0, newton_steps: None };

    /// What the kernel's results are smaller by: true C = scale * result. Infinite where f32 cannot hold it.
    pub fn scale(&self) -> f32 {
        let power = if self.newton_steps.is_some() { self.order } else { self.order - 1 };
        self.alpha.max(1.0).powi(power as i32)
    }
}

/// Everything about a condensation. Start from a preset, then change fields.
///
/// ```
/// use tcvit::condensation::{Condensation, Method};
/// let mut condensation = Condensation::paper().drop(16);
/// condensation.method = Method::Newton(2);
/// assert!(condensation.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Condensation {
    /// Where W comes from.
    pub metric: Metric,
    /// How C follows from W.
    pub method: Method,
    /// K, from 1.
    pub order: u32,
    /// a, positive.
    pub alpha: f32,
    /// b
    pub beta: f32,
    /// Whether c is divided by its own sum before it meets D.
    pub normalise: bool,
    /// Which mean of C is c.
    pub mean: Mean,
    /// What ranks tokens.
    pub score: Score,
    /// How the members of a fused token count; [`Weights::None`] prunes instead.
    pub weights: Weights,
    /// Whether ln(size) of the key is added to attention logits, so that a token that stands for many counts as many.
    pub proportional_attention: bool,
    /// R for each block.
    pub schedule: Schedule,
    /// Whether C is formed.
    pub path: Path,
}

impl Condensation {
    /// The paper's options: K = 2, a = 500, b = 3.5, attention, with the exact power sum and a normalised c. For models
    /// fine-tuned with condensation.
    pub fn paper() -> Self {
        Self {
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

    /// Every equation of the paper as printed: two Newton steps, no normalisation.
    pub fn literal() -> Self {
        Self { method: Method::Newton(2), normalise: false, ..Self::paper() }
    }

    /// For models that were not fine-tuned with condensation: `uniqueness` score, matching by key cosine, averages by
    /// size, proportional attention.
    pub fn training_free() -> Self {
        Self {
            metric: Metric::KeyCosine,
            order: 1,
            score: Score::Uniqueness { exponent: 0.5 },
            weights: Weights::Size,
            proportional_attention: true,
            ..Self::paper()
        }
    }

    /// A preset by name: `paper`, `literal` or `training_free`.
    ///
    /// # Errors
    /// [`Error::Config`] for another name.
    pub fn preset(name: &str) -> Result<Self> {
        match name {
            "paper" => Ok(Self::paper()),
            "literal" => Ok(Self::literal()),
            "training_free" => Ok(Self::training_free()),
            _ => Err(Error::config("condensation preset", "paper, literal or training_free", name)),
        }
    }

    /// With `r` tokens dropped in every block.
    #[must_use]
    pub fn drop(mut self, r: usize) -> Self {
        self.schedule = Schedule::Constant(r);
        self
    }

    /// With `r[i]` tokens dropped in block i.
    #[must_use]
    pub fn schedule(mut self, r: impl Into<Vec<usize>>) -> Self {
        self.schedule = Schedule::PerBlock(r.into());
        self
    }

    /// Checks what can be checked without a model.
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
        if let Score::Uniqueness { exponent } = self.score
            && !(0.0..=16.0).contains(&exponent)
        {
            return refuse("exponent", "a number from 0 to 16", exponent.to_string());
        }
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

    /// The arithmetic of C.
    pub fn chain(&self) -> Chain {
        let newton_steps = match self.method {
            Method::PowerSum => None,
            Method::Newton(steps) => Some(steps),
        };
        Chain { order: self.order, alpha: self.alpha, newton_steps }
    }

    /// Whether the mean of C takes part in the score.
    pub(crate) fn uses_connectivity_score(&self) -> bool {
        matches!(self.score, Score::Combined | Score::Connectivity)
    }

    /// Whether the class token's attention takes part in the score.
    pub(crate) fn uses_dominance(&self) -> bool {
        self.score != Score::Connectivity
    }

    /// Whether W is needed at all: plain pruning by dominance or uniqueness does without.
    pub(crate) fn uses_connectivity(&self) -> bool {
        self.uses_connectivity_score() || self.weights != Weights::None
    }

    /// Whether the cosines of keys are needed.
    pub(crate) fn uses_cosine(&self) -> bool {
        matches!(self.score, Score::Uniqueness { .. }) || (self.uses_connectivity() && self.metric == Metric::KeyCosine)
    }

    /// Tokens dropped in each of `depth` blocks of a model with `patches` patch tokens.
    ///
    /// # Errors
    /// [`Error::Config`] when a list has another length, or when a block would be left without a patch token: it is named.
    pub fn drops(&self, patches: usize, depth: usize) -> Result<Vec<usize>> {
        let drops = match &self.schedule {
            Schedule::Auto => vec![automatic_drop(patches, depth); depth],
            Schedule::Constant(r) => vec![*r; depth],
            Schedule::PerBlock(list) if list.len() == depth => list.clone(),
            Schedule::PerBlock(list) => {
                return Err(Error::config(
                    "condensation schedule",
                    format!("one number for each of {depth} blocks"),
                    format!("{} numbers", list.len()),
                ));
            }
        };
        let mut left = patches;
        for (block, &drop) in drops.iter().enumerate() {
            if drop >= left {
                return Err(Error::config(
                    "condensation schedule",
                    format!("at most {} tokens dropped in block {block}, which has {left}", left - 1),
                    drop.to_string(),
                ));
            }
            left -= drop;
        }
        Ok(drops)
    }
}

/// See [`Schedule::Auto`].
fn automatic_drop(patches: usize, depth: usize) -> usize {
    let share = (patches as f64 / 14.0).round() as usize;
    share.min((0.86 * patches as f64 / depth.max(1) as f64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_schedule_is_the_papers_and_always_leaves_tokens() {
        assert_eq!(Condensation::paper().drops(196, 12).unwrap(), vec![14; 12]);
        for patches in 1..300 {
            for depth in [1, 2, 8, 12, 24, 48] {
                assert!(Condensation::paper().drops(patches, depth).is_ok(), "{patches} patches, {depth} blocks");
            }
        }
    }

    #[test]
    fn a_schedule_that_empties_a_block_names_it() {
        let error = Condensation::paper().drop(17).drops(196, 12).unwrap_err().to_string();
        assert!(error.contains("block 11") && error.contains("has 9"), "{error}");
        let error = Condensation::paper().schedule([1, 2]).drops(196, 12).unwrap_err().to_string();
        assert!(error.contains("12 blocks") && error.contains("2 numbers"), "{error}");
        assert!(Condensation::paper().schedule([63, 0]).drops(64, 2).is_ok());
    }

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
            |c| c.score = Score::Uniqueness { exponent: -1.0 },
        ];
        for (index, change) in refused.into_iter().enumerate() {
            let mut c = Condensation::paper();
            change(&mut c);
            assert!(c.validate().is_err(), "change {index}");
        }
    }
}
