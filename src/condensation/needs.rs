//! Which quantities a forward must compute for a condensation.

use super::{Condensation, Mean, Method, Metric, Path, Reducer, Score, Weights};

impl Condensation {
    /// Whether `other` gives the same results in every network: whether all options but `path` are equal. `path` only
    /// decides how the results are computed.
    pub fn same_results(&self, other: &Self) -> bool {
        *self == Self { path: self.path, ..other.clone() }
    }

    /// Whether the options of connectivity apply.
    pub(super) fn connects(&self) -> bool {
        self.reducer == Reducer::Connectivity
    }

    /// Whether the mean of C takes part in the score.
    pub(crate) fn uses_connectivity_score(&self) -> bool {
        self.connects() && matches!(self.score, Score::Combined | Score::Connectivity)
    }

    /// Whether the class token's attention takes part in the score.
    pub(crate) fn uses_dominance(&self) -> bool {
        match self.reducer {
            Reducer::Connectivity => self.score != Score::Connectivity,
            Reducer::Evit | Reducer::Prune => true,
            Reducer::Tome | Reducer::Random { .. } => false,
        }
    }

    /// Whether W is needed. Pruning by dominance or uniqueness needs none.
    pub(crate) fn uses_connectivity(&self) -> bool {
        self.connects() && (self.uses_connectivity_score() || self.weights != Weights::None)
    }

    /// Whether W has a matrix of its own. With the metrics `key_cosine` and `cosine` it has none: W overwrites the
    /// cosines.
    pub(crate) fn uses_own_connectivity(&self) -> bool {
        self.uses_connectivity() && !matches!(self.metric, Metric::KeyCosine | Metric::Cosine)
    }

    /// Whether W is computed from the attention probabilities.
    pub(crate) fn compares_attention(&self) -> bool {
        self.uses_own_connectivity() && self.metric == Metric::Attention
    }

    /// Whether every kernel that reads W only adds up or multiplies each element once. This holds on the thin path for
    /// the power sum of order 1 or 2 with the column mean.
    pub(crate) fn reads_w_once(&self) -> bool {
        let sum = self.method == Method::PowerSum && self.order <= 2;
        sum && self.path == Path::Thin && self.mean == Mean::Column
    }

    /// Whether -c and D are terms of the score; `None` for a score that is computed from cosines.
    pub(crate) fn score_counts(&self) -> Option<(bool, bool)> {
        match self.score {
            Score::Uniqueness { .. } => None,
            Score::Combined => Some((true, true)),
            Score::Connectivity => Some((true, false)),
            Score::Dominance => Some((false, true)),
        }
    }

    /// Whether cosines are those of tokens instead of keys.
    pub(crate) fn compares_tokens(&self) -> bool {
        self.connects() && self.metric == Metric::Cosine
    }

    /// Whether a matrix of cosines is needed, of keys or (with the metric `cosine`) of tokens.
    pub(crate) fn uses_cosine(&self) -> bool {
        match self.reducer {
            Reducer::Connectivity => {
                matches!(self.score, Score::Uniqueness { .. })
                    || (self.uses_connectivity() && matches!(self.metric, Metric::KeyCosine | Metric::Cosine))
            }
            Reducer::Tome => true,
            Reducer::Evit | Reducer::Prune | Reducer::Random { .. } => false,
        }
    }

    /// Whether the match of each dropped token is found in a row of a matrix.
    pub(crate) fn uses_rows(&self) -> bool {
        self.reducer == Reducer::Tome || (self.connects() && self.weights != Weights::None)
    }

    /// Whether dropped tokens are fused into kept ones.
    pub fn fuses(&self) -> bool {
        match self.reducer {
            Reducer::Connectivity => self.weights != Weights::None,
            Reducer::Tome | Reducer::Evit => true,
            Reducer::Prune | Reducer::Random { .. } => false,
        }
    }

    /// The largest number of tokens that a block with `patches` patch tokens can drop.
    pub(super) fn most_dropped(&self, patches: usize) -> usize {
        match self.reducer {
            // ToMe drops tokens of one set only, and each needs a token of the other set to merge into.
            Reducer::Tome => patches / 2,
            _ => patches.saturating_sub(1),
        }
    }
}
