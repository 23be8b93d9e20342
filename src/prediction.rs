//! Logits as probabilities of named classes.

use serde::Serialize;

use crate::config::VitConfig;

/// One class and its probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Guess {
    /// Index of the class.
    pub index: usize,
    /// Name of the class, if the checkpoint gives one.
    pub label: Option<String>,
    /// Its probability, 0 to 1.
    pub probability: f32,
}

impl Guess {
    /// The label, or `class 42` if there is none.
    pub fn name(&self) -> String {
        self.label.clone().unwrap_or_else(|| format!("class {}", self.index))
    }
}

/// All classes of one image, most likely first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Prediction {
    /// Every class, by descending probability. Equally likely classes are in order of their indices.
    pub classes: Vec<Guess>,
}

impl Prediction {
    /// Softmax of one image's `logits` (one for each class), with the labels of `config`.
    pub fn of_logits(logits: &[f32], config: &VitConfig) -> Self {
        let most = logits.iter().fold(f32::NEG_INFINITY, |most, &logit| most.max(logit));
        let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - most).exp()).collect();
        let sum: f64 = powers.iter().sum();
        let mut classes: Vec<Guess> = powers
            .iter()
            .enumerate()
            .map(|(index, power)| Guess {
                index,
                label: config.labels.get(index).cloned(),
                probability: (power / sum) as f32,
            })
            .collect();
        classes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        Self { classes }
    }

    /// The `count` most likely classes.
    pub fn top(&self, count: usize) -> &[Guess] {
        &self.classes[..count.min(self.classes.len())]
    }
}
