//! The names of the values of options, and the conversion from text to values.

use serde_json::Value;

use super::{Mean, Method, Metric, Path, Schedule, Score, Weights};
use crate::error::{Error, Result};

pub(super) const METRICS: &[(&str, Metric)] = &[
    ("attention", Metric::Attention),
    ("key_cosine", Metric::KeyCosine),
    ("cosine", Metric::Cosine),
    ("dot", Metric::Dot),
    ("euclidean", Metric::Euclidean),
];
pub(super) const METHODS: &[(&str, Method)] = &[
    ("power_sum", Method::PowerSum),
    ("newton0", Method::Newton(0)),
    ("newton1", Method::Newton(1)),
    ("newton2", Method::Newton(2)),
    ("newton3", Method::Newton(3)),
];
pub(super) const MEANS: &[(&str, Mean)] = &[("column", Mean::Column), ("row", Mean::Row)];
pub(super) const SCORES: &[(&str, Score)] = &[
    ("combined", Score::Combined),
    ("connectivity", Score::Connectivity),
    ("dominance", Score::Dominance),
    ("uniqueness", Score::Uniqueness { exponent: 0.0, size_exponent: 0.5 }),
];
pub(super) const WEIGHTS: &[(&str, Weights)] =
    &[("connectivity", Weights::Connectivity), ("size", Weights::Size), ("none", Weights::None)];
pub(super) const PATHS: &[(&str, Path)] = &[("thin", Path::Thin), ("dense", Path::Dense)];
pub(super) const SWITCH: &[(&str, bool)] = &[("on", true), ("off", false), ("true", true), ("false", false)];

pub(super) fn pick<T: Copy>(option: &str, value: &str, known: &[(&str, T)]) -> Result<T> {
    known.iter().find(|(name, _)| *name == value).map(|&(_, item)| item).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        Error::config(format!("condensation option {option}"), format!("one of {}", names.join(", ")), value)
    })
}

/// The name of `value` in `known`: of an equal entry, or else of an entry of the same enum variant, whatever its fields
/// hold. Newton's step count is part of the name, since `known` lists each count.
pub(super) fn name_of<T: Copy + PartialEq>(value: T, known: &[(&'static str, T)]) -> &'static str {
    let alike = |other: &T| *other == value || std::mem::discriminant(other) == std::mem::discriminant(&value);
    let exact = known.iter().find(|(_, item)| *item == value);
    exact.or_else(|| known.iter().find(|(_, item)| alike(item))).map_or("other", |(name, _)| name)
}

pub(super) fn number<T: std::str::FromStr>(option: &str, value: &str) -> Result<T> {
    let kind = match option {
        "alpha" | "beta" | "exponent" | "size_exponent" => "a number",
        _ => "a whole number",
    };
    value.trim().parse().map_err(|_| Error::config(format!("condensation option {option}"), kind, value))
}

pub(super) fn numbers<T: std::str::FromStr>(option: &str, value: &str) -> Result<Vec<T>> {
    let refused = |_| Error::config(format!("condensation option {option}"), "numbers with commas between", value);
    value.split(',').map(|item| item.trim().parse().map_err(refused)).collect()
}

/// A schedule from `55%` (a share of the full model's multiply-adds), or from `0.7G` or `700M` (a number of them).
pub(super) fn budget(value: &str) -> Result<Schedule> {
    let refused = || {
        let expected =
            "a share of the full model's multiply-adds such as 55%, or a number of them such as 0.7G or 700M";
        Error::config("condensation option flops", expected, value)
    };
    let Some((unit, factor)) =
        [("%", 0.01), ("G", 1e9), ("M", 1e6)].into_iter().find(|(unit, _)| value.ends_with(unit))
    else {
        return Err(refused());
    };
    let number: f64 = value.trim_end_matches(unit).trim().parse().map_err(|_| refused())?;
    if !(number > 0.0 && number.is_finite()) {
        return Err(refused());
    }
    Ok(if unit == "%" { Schedule::Share(number * factor) } else { Schedule::MultiplyAdds((number * factor) as u64) })
}

pub(super) fn joined<T: ToString>(list: &[T]) -> String {
    list.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

/// A JSON value as the text that [`Condensation::set`] takes; `None` for a value that is no option's.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(on) => Some(on.to_string()),
        Value::Array(items) => items.iter().map(text_of).collect::<Option<Vec<_>>>().map(|items| items.join(",")),
        _ => None,
    }
}
