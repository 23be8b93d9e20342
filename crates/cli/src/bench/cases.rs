//! The models and condensations to run, checked before a device is opened.

use tcvit::low_level::plan::{Attention, Plan};
use tcvit::{Condensation, Context, Model, Result};

use super::Arguments;
use crate::combinations::combinations;
use crate::options::{ChangeOptions, ModelOptions};

/// The command-line name of the model inside the program.
const BUNDLED: &str = "bundled";

/// A model in one precision, with its condensations.
pub struct Subject {
    /// The model, with its precision. If the precision is `None`, the adapter's preferred one is used.
    pub model: ModelOptions,
    /// The route of attention. If it is `None`, the library chooses one.
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

    /// The model's name, with the route of attention if one was asked for.
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

/// The given values, or one `None` for the default if there are none.
fn or_default<T: Copy>(given: &[T]) -> Vec<Option<T>> {
    if given.is_empty() { vec![None] } else { given.iter().copied().map(Some).collect() }
}
