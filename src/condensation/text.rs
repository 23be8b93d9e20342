//! Condensations as text: options by name, for the command line, and JSON, in which a checkpoint records the
//! condensation that it was fine-tuned for.

use std::fmt;

use serde_json::{Map, Value};

use super::names::{
    MEANS, METHODS, METRICS, PATHS, SCORES, SWITCH, WEIGHTS, budget, joined, name_of, number, numbers, pick, text_of,
};
use super::{Condensation, PRESETS, Reducer, Schedule, Score};
use crate::error::{Error, Result};

/// The names that [`Condensation::set`] takes, in the order in which options are read from JSON.
pub const OPTIONS: &[&str] = &[
    "metric",
    "method",
    "order",
    "alpha",
    "beta",
    "normalise",
    "mean",
    "score",
    "exponent",
    "size_exponent",
    "weights",
    "path",
    "seed",
    "proportional_attention",
    "drop",
    "schedule",
    "keep",
    "flops",
];

/// The options that set a schedule. Presets do not differ in these.
const SCHEDULES: &[&str] = &["drop", "schedule", "keep", "flops"];

impl Condensation {
    /// Sets one option from text; [`OPTIONS`] lists the names. Examples for schedules: `drop` takes `14`, `schedule`
    /// takes `8,8,16`, `keep` takes `0.7` or `1,1,0.7`, and `flops` takes `55%` of the full model's multiply-adds or
    /// `0.7G` of them.
    ///
    /// ```
    /// use tcvit::condensation::{Condensation, Metric};
    /// let mut condensation = Condensation::paper();
    /// condensation.set("metric", "euclidean")?;
    /// assert_eq!(condensation.metric, Metric::Euclidean);
    /// assert_eq!(condensation.to_string(), "paper, metric euclidean");
    /// # Ok::<(), tcvit::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown option, for a value that the option does not take, and for an option that does
    /// not apply to the reducer or the score.
    pub fn set(&mut self, option: &str, value: &str) -> Result<()> {
        if OPTIONS.contains(&option) && !self.has(option) {
            let expected = format!("an option that {} has", self.owner(option));
            return Err(Error::config(format!("condensation option {option}"), expected, value));
        }
        match option {
            "metric" => self.metric = pick(option, value, METRICS)?,
            "method" => self.method = pick(option, value, METHODS)?,
            "order" => self.order = number(option, value)?,
            "alpha" => self.alpha = number(option, value)?,
            "beta" => self.beta = number(option, value)?,
            "normalise" => self.normalise = pick(option, value, SWITCH)?,
            "mean" => self.mean = pick(option, value, MEANS)?,
            // Setting the same score again keeps its exponents.
            "score" if value == name_of(self.score, SCORES) => {}
            "score" => self.score = pick(option, value, SCORES)?,
            "exponent" | "size_exponent" => self.set_exponent(option, number(option, value)?),
            "weights" => self.weights = pick(option, value, WEIGHTS)?,
            "path" => self.path = pick(option, value, PATHS)?,
            "seed" => self.reducer = Reducer::Random { seed: number(option, value)? },
            "proportional_attention" => self.proportional_attention = pick(option, value, SWITCH)?,
            "drop" => self.schedule = Schedule::Constant(number(option, value)?),
            "schedule" => self.schedule = Schedule::PerBlock(numbers(option, value)?),
            "keep" => self.schedule = Schedule::Keep(numbers(option, value)?),
            "flops" => self.schedule = budget(value)?,
            _ => return Err(Error::config("condensation option", format!("one of {}", OPTIONS.join(", ")), option)),
        }
        Ok(())
    }

    fn set_exponent(&mut self, option: &str, value: f32) {
        if let Score::Uniqueness { exponent, size_exponent } = &mut self.score {
            *(if option == "exponent" { exponent } else { size_exponent }) = value;
        }
    }

    /// Whether `option` applies to this reducer and score.
    fn has(&self, option: &str) -> bool {
        match option {
            "seed" => matches!(self.reducer, Reducer::Random { .. }),
            "exponent" | "size_exponent" => self.connects() && matches!(self.score, Score::Uniqueness { .. }),
            "proportional_attention" => true,
            _ => SCHEDULES.contains(&option) || self.connects(),
        }
    }

    /// The score or the preset that does not have `option`, as an error names it.
    fn owner(&self, option: &str) -> &'static str {
        match (option, self.reducer) {
            ("exponent" | "size_exponent", Reducer::Connectivity) => "this score",
            (_, reducer) => base(reducer),
        }
    }

    /// Every option that applies to this reducer and score, with its value, except those of the schedule.
    fn options(&self) -> Vec<(&'static str, String)> {
        let value = |option: &str| -> String {
            match option {
                "metric" => name_of(self.metric, METRICS).into(),
                "method" => name_of(self.method, METHODS).into(),
                "order" => self.order.to_string(),
                "alpha" => self.alpha.to_string(),
                "beta" => self.beta.to_string(),
                "normalise" => name_of(self.normalise, SWITCH).into(),
                "mean" => name_of(self.mean, MEANS).into(),
                "score" => name_of(self.score, SCORES).into(),
                "weights" => name_of(self.weights, WEIGHTS).into(),
                "path" => name_of(self.path, PATHS).into(),
                "proportional_attention" => name_of(self.proportional_attention, SWITCH).into(),
                _ => match (option, self.score, self.reducer) {
                    ("exponent", Score::Uniqueness { exponent, .. }, _) => exponent.to_string(),
                    ("size_exponent", Score::Uniqueness { size_exponent, .. }, _) => size_exponent.to_string(),
                    ("seed", _, Reducer::Random { seed }) => seed.to_string(),
                    _ => String::new(),
                },
            }
        };
        let of_how = OPTIONS.iter().filter(|option| !SCHEDULES.contains(option) && self.has(option));
        of_how.map(|option| (*option, value(option))).collect()
    }

    /// The JSON object that [`Condensation::from_json`] reads: a preset with the same reducer, then every option that
    /// applies.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("preset".into(), base(self.reducer).into());
        for (option, value) in self.options() {
            object.insert(option.into(), value.into());
        }
        let (option, value) = match &self.schedule {
            Schedule::Auto => return object.into(),
            Schedule::Constant(r) => ("drop", r.to_string()),
            Schedule::PerBlock(list) => ("schedule", joined(list)),
            Schedule::Keep(ratios) => ("keep", joined(ratios)),
            Schedule::Share(share) => ("flops", format!("{}%", share * 100.0)),
            Schedule::MultiplyAdds(count) => ("flops", format!("{}G", *count as f64 / 1e9)),
        };
        object.insert(option.into(), value.into());
        object.into()
    }

    /// Reads a condensation from a JSON object with a `preset` (`paper` if absent) and the options of [`OPTIONS`] that
    /// differ from it, as numbers, booleans, strings or lists. A checkpoint records the condensation that it was
    /// fine-tuned for in this form, in its safetensors metadata under [`Condensation::METADATA`].
    ///
    /// ```
    /// use tcvit::Condensation;
    /// let condensation = Condensation::from_json(r#"{"preset": "paper", "order": 4, "drop": 16}"#)?;
    /// assert_eq!((condensation.order, condensation.drops(196, 12)?[0]), (4, 16));
    /// # Ok::<(), tcvit::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] when the text is not such an object, or when [`Condensation::validate`] refuses the result.
    pub fn from_json(text: &str) -> Result<Self> {
        let malformed =
            |got: String| Error::config("read condensation", "a JSON object with a preset and options to change", got);
        let object: Map<String, Value> = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        let preset = match object.get("preset") {
            None => "paper",
            Some(Value::String(name)) => name,
            Some(other) => return Err(malformed(format!("preset {other}"))),
        };
        let mut condensation = Self::preset(preset)?;
        if let Some(unknown) = object.keys().find(|key| *key != "preset" && !OPTIONS.contains(&key.as_str())) {
            let known = format!("preset and options among {}", OPTIONS.join(", "));
            return Err(Error::config("read condensation", known, unknown));
        }
        for option in OPTIONS {
            if let Some(value) = object.get(*option) {
                condensation.set(option, &text_of(value).ok_or_else(|| malformed(format!("{option} {value}")))?)?;
            }
        }
        condensation.validate()?;
        Ok(condensation)
    }

    /// The key in a checkpoint's metadata under which it records, as JSON, the condensation that it was fine-tuned for.
    pub const METADATA: &str = "tcvit.condensation";
}

/// The nearest preset and the options that differ from it, without the schedule: `paper, metric dot, order 4`.
impl fmt::Display for Condensation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.options();
        let nearest = PRESETS.iter().filter_map(|name| Some((name, Self::preset(name).ok()?.options())));
        let differing = |theirs: &[(&'static str, String)]| -> Vec<String> {
            own.iter()
                .filter(|option| !theirs.contains(option))
                .map(|(option, value)| format!("{} {value}", option.replace('_', " ")))
                .collect()
        };
        let alike = |name: &str| Self::preset(name).is_ok_and(|preset| base(preset.reducer) == base(self.reducer));
        let best = nearest
            .filter(|(name, _)| alike(name))
            .map(|(name, theirs)| (name, differing(&theirs)))
            .min_by_key(|(_, differing)| differing.len());
        let Some((name, differing)) = best else { return Ok(()) };
        write!(f, "{}", std::iter::once((*name).to_owned()).chain(differing).collect::<Vec<_>>().join(", "))
    }
}

/// The preset from which the JSON of a reducer starts.
fn base(reducer: Reducer) -> &'static str {
    match reducer {
        Reducer::Connectivity => "paper",
        Reducer::Tome => "tome",
        Reducer::Evit => "evit",
        Reducer::Prune => "prune",
        Reducer::Random { .. } => "random",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Mean, Method, Metric, Path};
    use super::*;

    #[test]
    fn json_gives_back_every_condensation() {
        let mut odd = Condensation::paper().keep([1.0, 0.7]);
        (odd.metric, odd.method, odd.order, odd.mean) = (Metric::Dot, Method::Newton(3), 5, Mean::Row);
        (odd.score, odd.path) = (Score::Uniqueness { exponent: 0.25, size_exponent: 1.0 }, Path::Dense);
        let mut budgeted = Condensation::evit();
        budgeted.schedule = Schedule::Share(0.55);
        let presets = PRESETS.iter().map(|name| Condensation::preset(name).unwrap().drop_per_block(3));
        for condensation in presets.chain([odd, budgeted, Condensation::random(9), Condensation::literal()]) {
            let json = condensation.to_json().to_string();
            assert_eq!(Condensation::from_json(&json).unwrap(), condensation, "{json}");
        }
    }

    #[test]
    fn json_takes_numbers_booleans_and_lists() {
        let text = r#"{"preset": "tome", "proportional_attention": false, "schedule": [3, 0, 5]}"#;
        let expected = Condensation { proportional_attention: false, ..Condensation::tome().schedule([3, 0, 5]) };
        assert_eq!(Condensation::from_json(text).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("[]", "JSON object"),
            (r#"{"preset": "best"}"#, "training_free"),
            (r#"{"preset": 3}"#, "preset 3"),
            (r#"{"metrik": "dot"}"#, "metrik"),
            (r#"{"metric": "dots"}"#, "euclidean"),
            (r#"{"metric": {}}"#, "metric {}"),
            (r#"{"order": 0}"#, "K from 1"),
            (r#"{"order": 2.5}"#, "whole number"),
            (r#"{"preset": "training_free", "size_exponent": "much"}"#, "expected a number"),
            (r#"{"exponent": 1}"#, "this score"),
            (r#"{"preset": "tome", "metric": "dot"}"#, "tome"),
            (r#"{"preset": "evit", "seed": 1}"#, "evit"),
            (r#"{"flops": "1.2"}"#, "55%"),
            (r#"{"flops": "120%"}"#, "100 %"),
            (r#"{"schedule": "1,x"}"#, "commas"),
        ] {
            let error = Condensation::from_json(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn it_is_described_by_the_nearest_preset() {
        for name in PRESETS {
            assert_eq!(Condensation::preset(name).unwrap().drop_per_block(7).to_string(), *name);
        }
        let mut condensation = Condensation::training_free();
        condensation.set("exponent", "0.5").unwrap();
        assert_eq!(condensation.to_string(), "training_free, exponent 0.5");
        condensation = Condensation::tome();
        condensation.set("proportional_attention", "off").unwrap();
        assert_eq!(condensation.to_string(), "tome, proportional attention off");
    }
}
