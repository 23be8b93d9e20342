//! The results of an evaluation for each model: sums over rows, a table, JSON.

use serde::Serialize;

use super::rows::Row;

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// `full`, or the condensation.
    pub name: String,
    /// The preset and its changes, without the amount. Models of one family are one line in the picture.
    #[serde(skip)]
    pub family: String,
    /// Share of images whose largest logit is the right class.
    pub top1: f64,
    /// Standard error of `top1`.
    pub top1_error: f64,
    /// Share of images with the right class among the five largest logits.
    pub top5: f64,
    /// Share of images with the full model's class.
    pub agreement: f64,
    /// Mean Kullback-Leibler divergence from the full model, in nats.
    pub divergence: f64,
    /// Multiply-adds of one image, condensation included.
    pub multiply_adds: u64,
    /// Images per second of device time, without decoding, in this run.
    pub images_per_second: Option<f64>,
    /// Microseconds of GPU time per image for condensing.
    pub condense_microseconds: Option<f64>,
    /// Condensing as a share of the forward's GPU time.
    pub condense_share: Option<f64>,
}

/// Figures of a model besides its answers.
pub struct Measured {
    pub name: String,
    pub family: String,
    pub multiply_adds: u64,
    pub images_per_second: Option<f64>,
    /// Microseconds of GPU time per image, for condensing and for the whole forward.
    pub condense: Option<(f64, f64)>,
}

impl Summary {
    /// The summary of the model at `index` in the rows.
    pub fn new(rows: &[Row], index: usize, measured: &Measured) -> Self {
        let count = rows.len().max(1) as f64;
        let share = |of: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| of(row)).count() as f64 / count;
        let top1 = share(&|row| row.answers[index].rank == 0);
        Self {
            name: measured.name.clone(),
            family: measured.family.clone(),
            top1,
            top1_error: (top1 * (1.0 - top1) / count).sqrt(),
            top5: share(&|row| row.answers[index].rank < 5),
            agreement: share(&|row| row.answers[index].class == row.answers[0].class),
            divergence: rows.iter().map(|row| row.answers[index].divergence).sum::<f64>() / count,
            multiply_adds: measured.multiply_adds,
            images_per_second: measured.images_per_second,
            condense_microseconds: measured.condense.map(|(condense, _)| condense),
            condense_share: measured.condense.map(|(condense, all)| condense / all),
        }
    }
}

/// The table for people.
pub fn table(summaries: &[Summary]) -> String {
    let width = summaries.iter().map(|summary| summary.name.len()).max().unwrap_or(4).max(12);
    let mut out = format!(
        "{:width$}   top-1          top-5    agree        KL  M mult-adds   images/s  speed-up  condensing\n",
        ""
    );
    let full = summaries.first().and_then(|full| full.images_per_second);
    for summary in summaries {
        let rate = summary.images_per_second.map_or("-".into(), |rate| format!("{rate:.1}"));
        let speedup = match (summary.images_per_second, full) {
            (Some(own), Some(full)) => format!("{:.2}x", own / full),
            _ => "-".into(),
        };
        let condense = match (summary.condense_microseconds, summary.condense_share) {
            (Some(microseconds), Some(share)) => format!("{microseconds:.0} us, {:.1} %", share * 100.0),
            _ => "-".into(),
        };
        out += &format!(
            "{:width$}  {:6.2} +- {:4.2}  {:6.2}  {:6.2}  {:9.5}  {:11.2}  {rate:>9}  {speedup:>8}  {condense}\n",
            summary.name,
            summary.top1 * 100.0,
            summary.top1_error * 100.0,
            summary.top5 * 100.0,
            summary.agreement * 100.0,
            summary.divergence,
            summary.multiply_adds as f64 / 1e6,
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::rows::Answer;

    #[test]
    fn shares_are_counted_over_rows() {
        let answer = |class, rank, divergence| Answer { class, rank, divergence };
        let row = |full, other| Row { name: String::new(), class: 0, answers: vec![full, other] };
        let rows = [
            row(answer(0, 0, 0.0), answer(0, 0, 0.1)),
            row(answer(1, 4, 0.0), answer(0, 0, 0.3)),
            row(answer(2, 7, 0.0), answer(2, 5, 0.2)),
            row(answer(0, 0, 0.0), answer(3, 1, 0.2)),
        ];
        let measured = Measured {
            name: "other".into(),
            family: "other".into(),
            multiply_adds: 7,
            images_per_second: None,
            condense: Some((2.0, 50.0)),
        };
        let full = Summary::new(&rows, 0, &measured);
        assert_eq!((full.top1, full.top5, full.agreement, full.divergence), (0.5, 0.75, 1.0, 0.0));
        let other = Summary::new(&rows, 1, &measured);
        assert_eq!((other.top1, other.top5, other.agreement), (0.5, 0.75, 0.5));
        assert!((other.divergence - 0.2).abs() < 1e-12 && other.condense_share == Some(0.04));
        assert!((other.top1_error - 0.25).abs() < 1e-12);
        assert_eq!(table(&[full, other]).lines().count(), 3);
    }
}
