//! Comparison of `block/softmax.wgsl` and its ways: rows that are padded to whole vec4s and rows that are not, with the
//! scales of attention and of cosines.

use super::data::{ULP, UNIT, rounding};
use super::{Check, Difference, compare_ways, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Traits, Way};
use crate::kernels::softmax::{Bindings, Call, KERNEL, Params, SUBGROUP, record};
use crate::random::Random;
use crate::reference::softmax::softmax;
use crate::ways::Verified;

/// The largest magnitude of a logit.
const LARGEST: f64 = 4.0;

pub(super) const CHECKS: &[Check] = &[CHECK, OCTETS];

const CHECK: Check = Check {
    kernel: &KERNEL,
    dimensions: "rows, columns",
    sizes: &[&[1, 1], &[9, 7], &[65, 64], &[591, 197]],
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &KERNEL, &calls(size)?, seed).await }),
};

const OCTETS: Check = Check {
    kernel: &SUBGROUP,
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &SUBGROUP, &calls(size)?, seed).await }),
    ..CHECK
};

/// Calls of one size with every relevant stride and scale.
fn calls(size: &[usize]) -> Result<Vec<Call>> {
    let [rows, columns] = dimensions(size)?;
    let call = |(stride, scale)| Call {
        params: Params { rows: rows as u32, columns: columns as u32, stride: stride as u32, scale },
    };
    Ok([(columns, 1.0), (columns.next_multiple_of(4), 1.0), (columns + 4, 4.0)].map(call).to_vec())
}

impl Verified for Call {
    fn samples(&self, _traits: &Traits) -> Vec<Self> {
        [[1, 1], [9, 7], [65, 64], [33, 197]].iter().flat_map(|size| calls(size).unwrap_or_default()).collect()
    }

    async fn compare(&self, context: &Context, way: &'static Way<Self>, seed: u64) -> Result<Difference> {
        let Params { rows, columns, stride, scale } = self.params;
        let [rows, columns, stride] = [rows, columns, stride].map(|count| count as usize);
        let mut expected = Random::named("softmax", seed).tensor(rows * stride, 0.0, LARGEST);
        let x = upload(context, "x", &expected)?;
        execute(context, |recorder| record(recorder, way, *self, Bindings { x: &x }))?;
        let got: Vec<f32> = download_async(context, &x, rows * stride).await?;
        softmax(&mut expected, columns, stride, scale);
        // A rounding error of an exponent is a relative error of the power. One comes from the product with the scale,
        // and one from the difference to the largest logit, which is up to twice as large. WGSL's exp is off by 3 + 2
        // |x| units in the last place. This is at most 4 for results above a third of the row's largest, and less for
        // smaller results.
        let exponent = UNIT * 3.0 * LARGEST * f64::from(scale) + 4.0 * ULP;
        Ok(Difference::of_rows(&got, &expected, stride, rounding(columns) + exponent))
    }
}
