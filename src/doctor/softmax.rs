//! Check of `block/softmax.wgsl`: rows padded to whole vec4s and rows that are not, scales of attention and of cosines.

use super::data::{ULP, UNIT, rounding};
use super::{Check, Difference, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Variant};
use crate::kernels::softmax::{Bindings, Params, record};
use crate::random::Random;
use crate::reference::softmax::softmax;

pub(super) const CHECK: Check = Check {
    kernel: "softmax",
    dimensions: "rows, columns",
    sizes: &[&[1, 1], &[9, 7], &[65, 64], &[591, 197]],
    compare: |context, size, seed| compare(context, Variant::Plain, size, seed),
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "softmax_subgroup",
    compare: |context, size, seed| compare(context, Variant::Subgroup, size, seed),
    ..CHECK
};

fn compare(context: &Context, variant: Variant, size: &[usize], seed: u64) -> Result<Difference> {
    const LARGEST: f64 = 4.0;
    let [rows, columns] = dimensions(size)?;
    let mut random = Random::named("softmax", seed);
    let mut worst = Difference::NONE;
    for (stride, scale) in [(columns, 1.0), (columns.next_multiple_of(4), 1.0), (columns + 4, 4.0)] {
        let mut twin = random.tensor(rows * stride, 0.0, LARGEST);
        let x = upload(context, "x", &twin)?;
        let params = Params { rows: rows as u32, columns: columns as u32, stride: stride as u32, scale };
        execute(context, |recorder| record(recorder, variant, params, Bindings { x: &x }))?;
        let got: Vec<f32> = download(context, &x, rows * stride)?;
        softmax(&mut twin, columns, stride, scale);
        // A rounding of an exponent is a relative error of the power: one of the product with the scale, one of the
        // difference to the largest, which is up to twice as far. WGSL's exp is off by 3 + 2 |x| units in the last
        // place, 4 at most where its result is more than a third of the row's largest, and below that less than that.
        let exponent = UNIT * 3.0 * LARGEST * f64::from(scale) + 4.0 * ULP;
        worst = worst.worse(Difference::of_rows(&got, &twin, stride, rounding(columns) + exponent));
    }
    Ok(worst)
}
