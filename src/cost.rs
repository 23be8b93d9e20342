//! Multiply-adds: what the papers call FLOPs, counted as they count them, and what this crate's thin path really does.

use crate::condensation::{Condensation, Method, Metric, Path, Score, Weights};
use crate::plan::{BlockPlan, Plan};

/// Multiply-adds of one image's forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Patch embedding: N 3p^2 D.
    pub embed: u64,
    /// 4 T D^2 + 2 T^2 D over the blocks, T before condensing.
    pub attention: u64,
    /// 2 T' D F over the blocks, T' after condensing.
    pub mlp: u64,
    /// The classifier.
    pub head: u64,
    /// Condensation as the paper's tables count it: N^3 for each squaring, log2 K of them.
    pub paper_connectivity: u64,
    /// Condensation as it is done here, its sums included: see [`condensation_cost`].
    pub connectivity: u64,
}

impl Cost {
    /// Of one image under `plan`.
    pub fn of(plan: &Plan) -> Self {
        let config = &plan.config;
        let (d, f, e) = (config.width as u64, config.mlp as u64, config.prefix() as u64);
        let mut cost = Self {
            embed: (config.patches() * config.patch_elements()) as u64 * d,
            head: config.head_rows() as u64 * d * config.classes as u64,
            ..Self::default()
        };
        for block in &plan.blocks {
            let (before, after) = (e + block.patches as u64, e + block.kept() as u64);
            cost.attention += 4 * before * d * d + 2 * before * before * d;
            cost.mlp += 2 * after * d * f;
            if let Some(condensation) = plan.condensation.as_ref().filter(|_| block.dropped > 0) {
                let squarings = f64::from(condensation.order).log2();
                cost.paper_connectivity += ((block.patches as f64).powi(3) * squarings) as u64;
                cost.connectivity += condensation_cost(plan, block, condensation);
            }
        }
        cost
    }

    /// Everything but condensation.
    pub fn network(&self) -> u64 {
        self.embed + self.attention + self.mlp + self.head
    }

    /// The total as the paper's tables have it.
    pub fn paper_total(&self) -> u64 {
        self.network() + self.paper_connectivity
    }

    /// The total of what is really done.
    pub fn total(&self) -> u64 {
        self.network() + self.connectivity
    }
}

/// Multiply-adds of condensing one block: head means, cosines, vector-matrix products for c, for the R dropped rows and
/// for the R diagonal elements, the fused tokens. Additions count as multiply-adds; comparisons do not count.
pub fn condensation_cost(plan: &Plan, block: &BlockPlan, condensation: &Condensation) -> u64 {
    let config = &plan.config;
    let (n, r, k) = (block.patches as u64, block.dropped as u64, u64::from(condensation.order));
    let (d, h, head_width) = (config.width as u64, config.heads as u64, config.head_width() as u64);
    let square = n * n;
    let mut cost = 0;
    if condensation.uses_dominance() {
        cost += n * h;
    }
    if condensation.uses_cosine() {
        cost += n * d + square * head_width;
    }
    if condensation.uses_connectivity() && condensation.metric == Metric::Attention {
        cost += square * h;
    }
    if matches!(condensation.score, Score::Combined) {
        cost += n;
    }
    let dense = condensation.path == Path::Dense && condensation.uses_connectivity();
    // Products with W that one row of C takes after the first, which is a row of W.
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
        cost += r * products * square + 2 * r * d;
    }
    if condensation.weights == Weights::Connectivity {
        // The last product of the exact sum is made for one element only.
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
    use crate::config::VitConfig;

    fn cost(preset: &str, change: impl FnOnce(&mut Condensation)) -> Cost {
        let mut condensation = Condensation::paper().drop(14);
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
            close(cost("deit_tiny", |c| *c = c.clone().drop(r)), giga);
        }
    }

    #[test]
    fn the_papers_table_8() {
        for (order, giga) in [(1, 0.69), (2, 0.73), (4, 0.76), (8, 0.79), (32, 0.85)] {
            close(cost("deit_tiny", |c| c.order = order), giga);
        }
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
}
