//! What a condensation needs: which quantities a forward has to make for it.

use super::{Condensation, Mean, Method, Metric, Path, Reducer, Score, Weights};

impl Condensation {
    /// Whether `other` makes the same of every network: all but `path`, which only says how.
    pub fn same_results(&self, other: &Self) -> bool {
        *self == Self { path: self.path, ..other.clone() }
    }

    /// Whether the options of connectivity count at all.
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

    /// Whether W is needed at all: plain pruning by dominance or uniqueness does without.
    pub(crate) fn uses_connectivity(&self) -> bool {
        self.connects() && (self.uses_connectivity_score() || self.weights != Weights::None)
    }

    /// Whether W has a matrix of its own; cosines become it where they are.
    pub(crate) fn uses_own_connectivity(&self) -> bool {
        self.uses_connectivity() && !matches!(self.metric, Metric::KeyCosine | Metric::Cosine)
    }

    /// Whether W is made of attention's probabilities.
    pub(crate) fn compares_attention(&self) -> bool {
        self.uses_own_connectivity() && self.metric == Metric::Attention
    }

    /// Whether all that reads W takes its elements as they lie, to add them up or multiply them once: K = 1 or 2, summed by
    /// columns.
    pub(crate) fn reads_w_once(&self) -> bool {
        let sum = self.method == Method::PowerSum && self.order <= 2;
        sum && self.path == Path::Thin && self.mean == Mean::Column
    }

    /// Whether -c and D count in the score; `None` for one that is made of cosines.
    pub(crate) fn score_counts(&self) -> Option<(bool, bool)> {
        match self.score {
            Score::Uniqueness { .. } => None,
            Score::Combined => Some((true, true)),
            Score::Connectivity => Some((true, false)),
            Score::Dominance => Some((false, true)),
        }
    }

    /// Whether cosines are those of tokens, not of keys.
    pub(crate) fn compares_tokens(&self) -> bool {
        self.connects() && self.metric == Metric::Cosine
    }

    /// Whether a matrix of cosines is needed, of keys or, with that metric, of tokens.
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

    /// Whether dropped tokens look for their match in rows of a matrix.
    pub(crate) fn uses_rows(&self) -> bool {
        self.reducer == Reducer::Tome || (self.connects() && self.weights != Weights::None)
    }

    /// Whether dropped tokens live on in others.
    pub fn fuses(&self) -> bool {
        match self.reducer {
            Reducer::Connectivity => self.weights != Weights::None,
            Reducer::Tome | Reducer::Evit => true,
            Reducer::Prune | Reducer::Random { .. } => false,
        }
    }

    /// The most tokens that a block can lose of `patches` patch tokens.
    pub(super) fn most_dropped(&self, patches: usize) -> usize {
        match self.reducer {
            // One of its two sets, and the other must have a token to merge into.
            Reducer::Tome => patches / 2,
            _ => patches.saturating_sub(1),
        }
    }
}
