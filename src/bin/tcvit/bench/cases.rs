//! What is to be run, checked before a device is opened.

use tcvit::gpu::Precision;
use tcvit::plan::{Attention, Plan};
use tcvit::{Condensation, Context, Model, Result};

use super::Arguments;
use crate::combinations::combinations;
use crate::options::{ChangeOptions, ModelOptions};

/// The name of the model inside the program, on the command line.
const BUNDLED: &str = "bundled";

/// A model in one precision, and how it is condensed.
pub struct Subject {
    pub model: ModelOptions,
    pub precision: Precision,
    /// `None`: the adapter's default.
    pub attention: Option<Attention>,
    pub condensations: Vec<Condensation>,
}

impl Subject {
    pub fn name(&self) -> String {
        format!("{}, {}", self.model_name(), self.precision)
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
    let attentions = match arguments.attention.is_empty() {
        true => vec![None],
        false => arguments.attention.iter().copied().map(Some).collect(),
    };
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
        for &precision in &arguments.precision {
            let model = ModelOptions { precision: Some(precision), ..model.clone() };
            for &attention in &attentions {
                let (model, condensations) = (model.clone(), condensations.clone());
                subjects.push(Subject { model, precision, attention, condensations });
            }
        }
    }
    Ok(subjects)
}
