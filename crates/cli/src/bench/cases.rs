//! What is to be run, checked before a device is opened.

use tcvit::low_level::plan::{Attention, Plan};
use tcvit::{Condensation, Context, Model, Result};

use super::Arguments;
use crate::combinations::combinations;
use crate::options::{ChangeOptions, ModelOptions};

/// The name of the model inside the program, on the command line.
const BUNDLED: &str = "bundled";

/// A model in one precision, and how it is condensed.
pub struct Subject {
    /// The precision included; `None`: what the adapter prefers.
    pub model: ModelOptions,
    /// `None`: the adapter's default.
    pub attention: Option<Attention>,
    pub condensations: Vec<Condensation>,
}

impl Subject {
    pub fn name(&self) -> String {
        match self.model.precision {
            Some(precision) => format!("{}, {precision}", self.model_name()),
            None => self.model_name(),
        }
    }

    /// The model's name, with how attention runs where that was asked for.
    pub fn model_name(&self) -> String {
        match self.attention {
            Some(attention) => format!("{} ({attention})", self.model.name()),
            None => self.model.name().to_owned(),
        }
    }

    pub fn load(&self, context: &Context) -> Result<Model> {
        self.model.load(context)
    }
}

/// Every model in every precision, each with every condensation that the options give it.
pub fn subjects(arguments: &Arguments) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    let (precisions, attentions) = (or_default(&arguments.precision), or_default(&arguments.attention));
    for name in &arguments.model {
        let model = ModelOptions {
            model: (name != BUNDLED).then(|| name.clone()),
            offline: arguments.offline,
            ..ModelOptions::default()
        };
        let config = model.config()?;
        let full = Plan::new(&config, None)?;
        arguments.batch.iter().try_for_each(|&batch| full.chunk(batch, u64::MAX).map(drop))?;
        let change = ChangeOptions::default();
        let condensations = combinations(&arguments.preset, &arguments.drop, &[], &change, &model)?;
        for condensation in &condensations {
            Plan::new(&config, Some(condensation))?;
        }
        for &precision in &precisions {
            let model = ModelOptions { precision, ..model.clone() };
            for &attention in &attentions {
                let (model, condensations) = (model.clone(), condensations.clone());
                subjects.push(Subject { model, attention, condensations });
            }
        }
    }
    Ok(subjects)
}

/// The values that were asked for, or one `None`: the adapter's own choice.
fn or_default<T: Copy>(given: &[T]) -> Vec<Option<T>> {
    if given.is_empty() { vec![None] } else { given.iter().copied().map(Some).collect() }
}
