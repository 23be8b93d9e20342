//! How many patch tokens each block drops.

use super::Condensation;
use crate::error::{Error, Result};

/// How many patch tokens each block drops.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Schedule {
    /// A constant R that suits the model: 7 % of its patch tokens, or less in a model so deep that fewer than 14 % of
    /// them would remain at the end. This is 14 for 196 patch tokens and 12 blocks, the paper's R for DeiT-Tiny.
    Auto,
    /// The same R in every block, as in the paper.
    Constant(usize),
    /// R for each block.
    PerBlock(Vec<usize>),
    /// The share of its patch tokens, above 0 and at most 1, that each block keeps, rounded up to whole tokens: one
    /// number for every block, or one number for each block.
    Keep(Vec<f32>),
    /// The smallest drops for which the whole forward, condensation included, costs at most this share of the full
    /// model's multiply-adds: R in the first blocks, R - 1 in the others.
    Share(f64),
    /// The smallest drops for which the whole forward of an image, condensation included, costs at most this many
    /// multiply-adds: R in the first blocks, R - 1 in the others.
    MultiplyAdds(u64),
}

impl Schedule {
    /// Checks everything that can be checked without a model.
    pub(super) fn validate(&self) -> Result<()> {
        let refuse = |expected: &str, got: String| Err(Error::config("condensation schedule", expected, got));
        match self {
            Self::Keep(ratios) => match ratios.iter().find(|&&ratio| !(ratio > 0.0 && ratio <= 1.0)) {
                Some(ratio) => refuse("keep ratios above 0, at most 1", ratio.to_string()),
                None => Ok(()),
            },
            Self::Share(share) if !(*share > 0.0 && *share <= 1.0) => {
                refuse("a share of the multiply-adds above 0, at most 1 (100 %)", share.to_string())
            }
            _ => Ok(()),
        }
    }
}

impl Condensation {
    /// Drops `r` tokens in every block.
    #[must_use]
    pub fn drop_per_block(mut self, r: usize) -> Self {
        self.schedule = Schedule::Constant(r);
        self
    }

    /// Drops `r[i]` tokens in block i.
    #[must_use]
    pub fn schedule(mut self, r: impl Into<Vec<usize>>) -> Self {
        self.schedule = Schedule::PerBlock(r.into());
        self
    }

    /// Keeps the share `ratios[i]` of the patch tokens in block i, or `ratios[0]` in every block.
    #[must_use]
    pub fn keep(mut self, ratios: impl Into<Vec<f32>>) -> Self {
        self.schedule = Schedule::Keep(ratios.into());
        self
    }

    /// Tokens dropped in each of `depth` blocks of a model with `patches` patch tokens. The schedules that depend on
    /// the cost of the whole model ([`Schedule::Share`], [`Schedule::MultiplyAdds`]) are resolved by a
    /// [`Plan`](crate::plan::Plan) instead.
    ///
    /// # Errors
    /// [`Error::Config`] when a list has the wrong length, when the schedule needs a plan, or, naming the block, when a
    /// block would keep no patch token (with ToMe: fewer than half of them).
    pub fn drops(&self, patches: usize, depth: usize) -> Result<Vec<usize>> {
        let counted = |expected: String, got: usize| {
            Err(Error::config("condensation schedule", expected, format!("{got} numbers")))
        };
        let drops = match &self.schedule {
            Schedule::Auto => vec![automatic_drop(patches, depth); depth],
            Schedule::Constant(r) => vec![*r; depth],
            Schedule::PerBlock(list) if list.len() == depth => list.clone(),
            Schedule::PerBlock(list) => return counted(format!("one number for each of {depth} blocks"), list.len()),
            Schedule::Keep(ratios) if ratios.len() == depth || ratios.len() == 1 => {
                let ratios = ratios.iter().cycle().take(depth);
                kept_by_ratio(patches, ratios.copied())
            }
            Schedule::Keep(ratios) => {
                return counted(format!("one keep ratio, or one for each of {depth} blocks"), ratios.len());
            }
            Schedule::Share(_) | Schedule::MultiplyAdds(_) => {
                return Err(Error::config(
                    "condensation schedule",
                    "numbers of tokens or keep ratios",
                    "a share or number of multiply-adds, which a Plan resolves",
                ));
            }
        };
        let mut left = patches;
        for (block, &drop) in drops.iter().enumerate() {
            let most = self.most_dropped(left);
            if drop > most {
                return Err(Error::config(
                    "condensation schedule",
                    format!("at most {most} tokens dropped in block {block}, which has {left}"),
                    drop.to_string(),
                ));
            }
            left -= drop;
        }
        Ok(drops)
    }
}

/// R of each block for keep ratios, each a share of the tokens that the block before kept.
fn kept_by_ratio(patches: usize, ratios: impl Iterator<Item = f32>) -> Vec<usize> {
    let mut left = patches;
    ratios
        .map(|ratio| {
            // In f64, with the ratio rounded to six digits: in f32, 0.7 of 10 would be 7.0000003 and keep 8.
            let exact = left as f64 * (f64::from(ratio) * 1e6).round() / 1e6;
            let kept = (exact.ceil() as usize).clamp(1, left.max(1));
            let dropped = left.saturating_sub(kept);
            left -= dropped;
            dropped
        })
        .collect()
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
        let error = Condensation::paper().drop_per_block(17).drops(196, 12).unwrap_err().to_string();
        assert!(error.contains("block 11") && error.contains("has 9"), "{error}");
        let error = Condensation::paper().schedule([1, 2]).drops(196, 12).unwrap_err().to_string();
        assert!(error.contains("12 blocks") && error.contains("2 numbers"), "{error}");
        assert!(Condensation::paper().schedule([63, 0]).drops(64, 2).is_ok());
    }

    #[test]
    fn tome_can_lose_half() {
        assert!(Condensation::tome().schedule([32, 16]).drops(64, 2).is_ok());
        let error = Condensation::tome().schedule([32, 17]).drops(64, 2).unwrap_err().to_string();
        assert!(error.contains("at most 16") && error.contains("block 1"), "{error}");
        assert_eq!(Condensation::tome().drop_per_block(1).drops(1, 1).ok(), None);
    }

    #[test]
    fn keep_ratios_round_up() {
        let kept = |ratios: &[f32]| Condensation::evit().keep(ratios).drops(196, 3);
        assert_eq!(kept(&[0.7]).unwrap(), [58, 41, 29]); // 138, 97, 68
        assert_eq!(kept(&[1.0, 0.5, 1.0]).unwrap(), [0, 98, 0]);
        assert_eq!(Condensation::prune().keep([0.7]).drops(10, 1).unwrap(), [3]);
        assert_eq!(Condensation::prune().keep([1e-6]).drops(10, 2).unwrap(), [9, 0]);
        assert!(kept(&[0.5, 0.5]).unwrap_err().to_string().contains("one keep ratio, or one for each of 3 blocks"));
        for ratio in [0.0, -1.0, 1.1, f32::NAN] {
            assert!(Condensation::evit().keep([ratio]).validate().is_err(), "{ratio}");
        }
    }

    #[test]
    fn a_share_is_for_a_plan_to_resolve() {
        let mut condensation = Condensation::paper();
        condensation.schedule = Schedule::Share(0.5);
        assert!(condensation.validate().is_ok() && condensation.drops(64, 8).is_err());
        condensation.schedule = Schedule::Share(1.5);
        assert!(condensation.validate().is_err());
    }
}
