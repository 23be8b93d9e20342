//! Counts multiply-adds, which the papers call FLOPs. The cost of condensing is counted in two ways: as in the tables
//! of the TC-ViT paper, and as this crate performs it.

use crate::condensation::{Condensation, Method, Metric, Path, Reducer, Schedule, Score, Weights};
use crate::config::{Head, VitConfig};
use crate::error::{Error, Result};
use crate::plan::{BlockPlan, Convolution, Plan};

/// Multiply-adds of one image's forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// Patch embedding: N 3p^2 D; with a convolutional stem its convolutions, then N c (p/2)^2 D.
    pub embed: u64,
    /// 4 T D^2 + 2 T^2 D summed over the blocks, with T before condensing.
    pub attention: u64,
    /// 2 T' D F summed over the blocks, with T' tokens after condensing.
    pub mlp: u64,
    /// The classifier. An auxiliary classifier on the last patch tokens is included, but not for the prefix tokens,
    /// which it reads here as well.
    pub head: u64,
    /// Condensation as the paper's tables count it: log2 K squarings of N^3 each.
    pub paper_connectivity: u64,
    /// Condensation as this crate performs it, sums included: see [`condensation_cost`].
    pub connectivity: u64,
}

impl Cost {
    /// The cost of one image under `plan`.
    pub fn of(plan: &Plan) -> Self {
        let config = &plan.config;
        let (d, f, e) = (config.width as u64, config.mlp as u64, config.prefix() as u64);
        let stem: u64 = Convolution::of(config).iter().map(Convolution::cost).sum();
        let classified = match config.head {
            Head::ClassAndTokenMax => 1 + plan.last_patches(),
            _ => config.head_rows(),
        };
        let mut cost = Self {
            embed: stem + (config.patches() * config.patch_elements()) as u64 * d,
            head: classified as u64 * d * config.classes as u64,
            ..Self::default()
        };
        for block in &plan.blocks {
            let (before, after) = (e + block.patches as u64, e + block.kept() as u64);
            cost.attention += 4 * before * d * d + 2 * before * before * d;
            cost.mlp += 2 * after * d * f;
            if let Some(condensation) = plan.condensation.as_ref().filter(|_| block.dropped > 0) {
                if condensation.reducer == Reducer::Connectivity {
                    let squarings = f64::from(condensation.order).log2();
                    cost.paper_connectivity += ((block.patches as f64).powi(3) * squarings) as u64;
                }
                cost.connectivity += condensation_cost(plan, block, condensation);
            }
        }
        cost
    }

    /// Everything but condensation.
    pub fn network(&self) -> u64 {
        self.embed + self.attention + self.mlp + self.head
    }

    /// The total as the paper's tables count it.
    pub fn paper_total(&self) -> u64 {
        self.network() + self.paper_connectivity
    }

    /// The total as this crate performs it.
    pub fn total(&self) -> u64 {
        self.network() + self.connectivity
    }
}

/// R of each block such that a forward costs at most as many multiply-adds as the schedule of `condensation` allows.
/// This is the smallest R that fits when every block drops it, then R - 1 in as many of the last blocks as still fit.
///
/// # Errors
/// [`Error::Config`] when no R fits; it names the smallest cost that an R gives.
pub(crate) fn affordable_drops(config: &VitConfig, condensation: &Condensation) -> Result<Vec<usize>> {
    let target = match condensation.schedule {
        Schedule::Share(share) => (Cost::of(&Plan::new(config, None)?).total() as f64 * share) as u64,
        Schedule::MultiplyAdds(count) => count,
        _ => u64::MAX,
    };
    let total = |drops: &[usize]| {
        let plan = Plan::new(config, Some(&condensation.clone().schedule(drops)))?;
        Ok::<u64, Error>(Cost::of(&plan).total())
    };
    let mut least = (u64::MAX, 0);
    for r in 0..config.patches() {
        let mut drops = vec![r; config.depth];
        let Ok(cost) = total(&drops) else { break };
        // Condensing has a cost of its own, so R = 1 may cost more than the full model.
        least = least.min((cost, r));
        if cost > target {
            continue;
        }
        for block in (0..if r > 0 { config.depth } else { 0 }).rev() {
            drops[block] -= 1;
            if total(&drops)? > target {
                drops[block] += 1;
                break;
            }
        }
        return Ok(drops);
    }
    let giga = |count: u64| format!("{:.4} G", count as f64 / 1e9);
    Err(Error::config(
        "condensation schedule",
        format!("at least {} multiply-adds (the fewest, with R = {})", giga(least.0), least.1),
        giga(target),
    ))
}

/// Multiply-adds of condensing one block of one image: means over heads, cosines, vector-matrix products for c, for the
/// R dropped rows and for the R diagonal elements, and the fused tokens. Additions count as multiply-adds; comparisons
/// do not count.
pub fn condensation_cost(plan: &Plan, block: &BlockPlan, condensation: &Condensation) -> u64 {
    let config = &plan.config;
    let (n, r) = (block.patches as u64, block.dropped as u64);
    let (d, h, head_width) = (config.width as u64, config.heads as u64, config.head_width() as u64);
    let square = n * n;
    let mut cost = 0;
    if condensation.uses_dominance() {
        cost += n * h;
    }
    if condensation.uses_cosine() {
        cost += n * d + square * if condensation.compares_tokens() { d } else { head_width };
    }
    if condensation.fuses() {
        cost += 2 * r * d;
    }
    if condensation.reducer == Reducer::Connectivity {
        cost += connectivity_cost(block, condensation, d, h);
    }
    cost
}

/// The part of [`condensation_cost`] for W and for the elements of C that are used.
fn connectivity_cost(block: &BlockPlan, condensation: &Condensation, width: u64, heads: u64) -> u64 {
    let (n, r, k) = (block.patches as u64, block.dropped as u64, u64::from(condensation.order));
    let square = n * n;
    let mut cost = 0;
    if condensation.uses_own_connectivity() {
        cost += square * if condensation.metric == Metric::Attention { heads } else { width };
    }
    if matches!(condensation.score, Score::Combined) {
        cost += n;
    }
    let dense = condensation.path == Path::Dense && condensation.uses_connectivity();
    // Products with W that one row of C needs after its first term, which is a row of W.
    let products = match condensation.method {
        _ if dense => 0,
        Method::PowerSum => k - 1,
        Method::Newton(steps) => k + (1 << steps) - 1,
    };
    if dense {
        let squarings = u64::from(condensation.order.ilog2() + condensation.order.count_ones() - 1);
        cost += n
            * square
            * match condensation.method {
                Method::PowerSum => 2 * squarings,
                Method::Newton(steps) => squarings + 2 * u64::from(steps) + 2,
            };
    }
    if condensation.uses_connectivity_score() {
        cost += (products + 1) * square;
    }
    if condensation.weights != Weights::None {
        cost += r * products * square;
    }
    if condensation.weights == Weights::Connectivity {
        // Of the last product of the exact sum, only one element is computed.
        cost += match condensation.method {
            Method::PowerSum if products > 0 => r * ((products - 1) * square + n),
            _ => r * products * square,
        };
    }
    cost
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(preset: &str, change: impl FnOnce(&mut Condensation)) -> Cost {
        let mut condensation = Condensation::paper().drop_per_block(14);
        change(&mut condensation);
        Cost::of(&Plan::new(&VitConfig::preset(preset).unwrap(), Some(&condensation)).unwrap())
    }

    fn close(cost: Cost, giga: f64) {
        let got = cost.paper_total() as f64 / 1e9;
        assert!((got - giga).abs() <= 0.01, "{got} GMACs, the paper says {giga}");
    }

    #[test]
    fn the_papers_table_7() {
        for (r, giga) in [(8, 0.97), (10, 0.89), (12, 0.81), (14, 0.73), (16, 0.65)] {
            close(cost("deit_tiny", |c| *c = c.clone().drop_per_block(r)), giga);
        }
    }

    #[test]
    fn the_papers_table_8() {
        for (order, giga) in [(1, 0.69), (2, 0.73), (4, 0.76), (8, 0.79), (32, 0.85)] {
            close(cost("deit_tiny", |c| c.order = order), giga);
        }
    }

    /// The paper's backbones, counted as in the paper: the full model, then with R tokens dropped in every block.
    #[test]
    fn the_papers_backbones() {
        for (preset, full, drop, condensed) in [
            ("deit_tiny", 1.3, 14, 0.7),
            ("deit_small", 4.6, 16, 2.3),
            ("deit_base", 17.6, 16, 8.7),
            ("lvvit_s", 6.6, 11, 4.1),
            ("lvvit_m", 12.7, 9, 7.4),
        ] {
            for (drop, giga) in [(0, full), (drop, condensed)] {
                let got = cost(preset, |c| *c = c.clone().drop_per_block(drop)).paper_total() as f64 / 1e9;
                println!("{preset}, R = {drop}: {got:.3} GMACs, the paper says {giga}");
                assert!((got - giga).abs() <= 0.1, "{preset}, R = {drop}: {got} GMACs, the paper says {giga}");
            }
        }
        // The paper does not give R for LV-ViT-S. R = 11 gives its 4.1. R = 12, which leaves 4 tokens, is 0.18 below.
        close(cost("lvvit_s", |c| *c = c.clone().drop_per_block(12)), 3.92);
    }

    #[test]
    fn a_stem_and_an_auxiliary_head_are_counted() {
        let config = VitConfig::preset("lvvit_s").unwrap();
        let full = Cost::of(&Plan::new(&config, None).unwrap());
        let pixels = 112 * 112;
        assert_eq!(full.embed, pixels * 64 * (3 * 49 + 64 * 9 + 64 * 9) + 196 * 64 * 64 * 384);
        assert_eq!(full.head, 384 * 1000 * (1 + 196));
        assert_eq!(cost("lvvit_s", |c| *c = c.clone().drop_per_block(12)).head, 384 * 1000 * (1 + 4));
    }

    #[test]
    fn full_models_have_their_published_cost() {
        for (preset, giga) in [("deit_tiny", 1.3), ("deit_small", 4.6), ("deit_base", 17.6)] {
            let plan = Plan::new(&VitConfig::preset(preset).unwrap(), None).unwrap();
            let got = Cost::of(&plan).total() as f64 / 1e9;
            assert!((got - giga).abs() < 0.1, "{preset}: {got}");
        }
    }

    #[test]
    fn the_thin_path_is_cheaper_than_one_dense_product() {
        let cost = cost("deit_tiny", |_| {});
        assert!(cost.connectivity < cost.paper_connectivity / 2, "{cost:?}");
    }

    #[test]
    fn a_budget_is_met_nearly() {
        let config = VitConfig::preset("deit_tiny").unwrap();
        let full = Cost::of(&Plan::new(&config, None).unwrap()).total();
        for preset in [Condensation::paper(), Condensation::training_free(), Condensation::tome(), Condensation::evit()]
        {
            let with = |schedule| {
                let condensation = Condensation { schedule, ..preset.clone() };
                Plan::new(&config, Some(&condensation))
            };
            let plan = with(Schedule::Share(0.6)).unwrap();
            let drops: Vec<usize> = plan.blocks.iter().map(|block| block.dropped).collect();
            let r = drops[0];
            assert!(
                drops.is_sorted_by(|a, b| a >= b) && drops.iter().all(|&drop| drop == r || drop + 1 == r),
                "{drops:?}"
            );
            // The drops fit, dropping one token less would not, and the cost is near the budget.
            let target = full as f64 * 0.6;
            let mut more = drops.clone();
            *more.iter_mut().rfind(|drop| **drop == r).unwrap() -= 1;
            let more = Cost::of(&Plan::new(&config, Some(&preset.clone().schedule(more))).unwrap()).total();
            let cost = Cost::of(&plan).total() as f64;
            assert!(cost <= target && more as f64 > target && cost > 0.995 * target, "{cost} {target}");
            assert_eq!(with(Schedule::MultiplyAdds(target as u64)).unwrap().blocks, plan.blocks);
            assert_eq!(with(Schedule::Share(1.0)).unwrap().blocks[0].dropped, 0);
            let error = with(Schedule::Share(0.2)).unwrap_err().to_string();
            assert!(error.contains("at least 0."), "{error}");
        }
    }
}
