//! Makes condensations from lists of presets and amounts.

use tcvit::{Condensation, Result};

use crate::options::{ChangeOptions, ModelOptions};

/// Each of `presets`, changed by `change`, with each of the amounts in `drops` and `budgets`, or with its own amount if
/// there are none. Without presets, the condensation that `model` was tuned for is used, or `training_free` if there is
/// none. A drop of 0 means the full model and gives no condensation.
pub fn combinations(
    presets: &[String],
    drops: &[usize],
    budgets: &[String],
    change: &ChangeOptions,
    model: &ModelOptions,
) -> Result<Vec<Condensation>> {
    let mut bases = presets.iter().map(|name| Condensation::preset(name)).collect::<Result<Vec<_>>>()?;
    if bases.is_empty() {
        bases.push(model.tuned()?.unwrap_or_else(Condensation::training_free));
    }
    let of_drops = drops.iter().filter(|&&r| r > 0).map(|r| ("drop", r.to_string()));
    let of_budgets = budgets.iter().map(|budget| ("flops", budget.clone()));
    let amounts: Vec<_> = of_drops.chain(of_budgets).collect();
    let mut all = Vec::new();
    for mut base in bases {
        change.apply(&mut base)?;
        for (option, value) in &amounts {
            let mut condensation = base.clone();
            condensation.set(option, value)?;
            all.push(condensation);
        }
        if amounts.is_empty() && drops.is_empty() {
            all.push(base);
        }
    }
    Ok(all)
}
