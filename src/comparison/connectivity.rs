//! Comparison of `condense/connectivity.wgsl`: rows, diagonal elements and both means of C, by the power sum and by a
//! Newton iteration, at the paper's a = 500 and a small a. The reference forms all of C. The module `chain` bounds the
//! rounding errors.

use super::chain::{Start, bound, settle_diagonal};
use super::data::{connectivity as random_w, unset};
use super::{Check, Difference, dimensions, download_async, execute, upload};
use crate::error::{Error, Result};
use crate::gpu::Context;
use crate::kernels::connectivity::{Bindings, Chain, KERNEL, Params, Part, record};
use crate::random::Random;
use crate::reference::connectivity::connectivity;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "images, patches, order, terms",
    sizes: &[&[1, 1, 3, 2], &[3, 7, 4, 8], &[2, 64, 32, 1], &[1, 129, 2, 4], &[1, 196, 2, 1]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

const PARTS: [Part; 4] = [Part::Rows, Part::Diagonal, Part::ColumnMean, Part::RowMean];

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches, order, terms] = dimensions(size)?;
    if !terms.is_power_of_two() {
        return Err(Error::config("check kernel", "terms that are a power of two", terms.to_string()));
    }
    let mut worst = Difference::NONE;
    for alpha in [500.0, 0.5] {
        let mut random = Random::named("connectivity", seed);
        let mut w = random_w(&mut random, images, patches);
        settle_diagonal(&mut w, patches, alpha);
        for newton_steps in [None, Some(terms.trailing_zeros())] {
            let chain = Chain { order: order as u32, alpha, newton_steps };
            worst = worst.worse(compare_chain(context, &w, [images, patches], chain, &mut random).await?);
        }
    }
    Ok(worst)
}

async fn compare_chain(
    context: &Context,
    w: &[f32],
    [images, patches]: [usize; 2],
    chain: Chain,
    random: &mut Random,
) -> Result<Difference> {
    // The kernel uses only some of the list's entries, like the dropped tokens in `order`.
    let (rows, stride, offset) = (patches.min(3), patches.min(3) + 2, 1);
    let list: Vec<u32> = (0..images * stride).map(|_| random.below(patches) as u32).collect();
    let (w_buffer, list_buffer) = (upload(context, "w", w)?, upload(context, "list", &list)?);
    let mut results = Vec::new();
    for part in PARTS {
        let len = match part {
            Part::Rows => images * rows * patches,
            Part::Diagonal => images * rows,
            Part::ColumnMean | Part::RowMean => images * patches,
        };
        results.push((part, unset(context, "result", len)?, len));
    }
    execute(context, |recorder| {
        for (part, result, _) in &results {
            let params = match part {
                Part::Rows | Part::Diagonal => Params::listed(patches, rows, stride, offset, chain),
                Part::ColumnMean | Part::RowMean => Params::mean(patches, chain),
            };
            let bindings = Bindings { w: &w_buffer, list: &list_buffer, result };
            record(recorder, params, images as u32, *part, bindings)?;
        }
        Ok(())
    })?;
    let mut got = Vec::new();
    for (_, result, len) in &results {
        got.push(download_async::<f32>(context, result, *len).await?);
    }
    let mut worst = Difference::NONE;
    for (image, w) in w.chunks_exact(patches * patches).enumerate() {
        let c = connectivity(w, patches, chain);
        let listed = &list[image * stride + offset..][..rows];
        let expected = Expected::new(w, &c, patches, chain, listed);
        for ((part, _, len), got) in results.iter().zip(&got) {
            let len = len / images;
            worst = worst.worse(expected.compare(*part, &got[image * len..][..len]));
        }
    }
    Ok(worst)
}

/// The expected results for one image, each with a bound on its rounding error.
struct Expected {
    patches: usize,
    /// Index, elements and bounds of the listed rows.
    rows: Vec<(usize, Vec<f64>, Vec<f64>)>,
    /// Elements and their bounds.
    column_mean: (Vec<f64>, Vec<f64>),
    /// Elements and their bounds.
    row_mean: (Vec<f64>, Vec<f64>),
}

impl Expected {
    fn new(w: &[f32], c: &[f64], patches: usize, chain: Chain, listed: &[u32]) -> Self {
        let row = |&row: &u32| {
            let row = row as usize;
            (row, c[row * patches..][..patches].to_vec(), bound(w, patches, chain, Start::Row(row)))
        };
        let count = patches as f64;
        let column = |j: usize| c.iter().skip(j).step_by(patches).sum::<f64>() / count;
        let columns = (0..patches).map(column).collect();
        let rows = c.chunks_exact(patches).map(|row| row.iter().sum::<f64>() / count).collect();
        Self {
            patches,
            rows: listed.iter().map(row).collect(),
            column_mean: (columns, bound(w, patches, chain, Start::ColumnMean)),
            row_mean: (rows, bound(w, patches, chain, Start::RowMean)),
        }
    }

    fn compare(&self, part: Part, got: &[f32]) -> Difference {
        let mut worst = Difference::NONE;
        match part {
            Part::Rows => {
                for ((_, expected, bound), got) in self.rows.iter().zip(got.chunks_exact(self.patches)) {
                    worst = worst.worse(Difference::of_bounded(got, expected, bound));
                }
            }
            Part::Diagonal => {
                for ((p, expected, bound), got) in self.rows.iter().zip(got.chunks_exact(1)) {
                    worst = worst.worse(Difference::of_bounded(got, &expected[*p..=*p], &bound[*p..=*p]));
                }
            }
            Part::ColumnMean => worst = Difference::of_bounded(got, &self.column_mean.0, &self.column_mean.1),
            Part::RowMean => worst = Difference::of_bounded(got, &self.row_mean.0, &self.row_mean.1),
        }
        worst
    }
}
