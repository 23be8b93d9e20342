//! Check of `block/linear.wgsl` and its variants, with each epilogue, from and to each precision.

use super::data::{UNIT, read_stored, rounding, stored, storing};
use super::{Check, Difference, dimensions, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision, Types};
use crate::kernels::linear::{Bindings, Epilogue, Params, Variant, record};
use crate::random::Random;
use crate::reference::linear::linear;

pub(super) const CHECK: Check = Check {
    kernel: "linear",
    dimensions: "rows, inner, columns",
    sizes: &[&[1, 4, 1], &[7, 64, 10], &[197, 192, 576], &[65, 768, 192]],
    compare,
};

/// Half the error that `shared/gelu.wgsl` states for its erf, and the rounding of its polynomial and exponential.
const ERF: f64 = 0.75e-7 + 4.0 * UNIT;

fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let mut worst = Difference::NONE;
    for types in Types::ALL {
        for variant in Variant::all(context, types) {
            worst = worst.worse(compare_variant(context, variant, types, size, seed)?);
        }
    }
    Ok(worst)
}

/// One variant against the twin, at one size; an error that names it where they differ.
pub(crate) fn compare_variant(
    context: &Context,
    variant: Variant,
    types: Types,
    size: &[usize],
    seed: u64,
) -> Result<Difference> {
    let [rows, inner, columns] = dimensions(size)?;
    let (inner, columns) = (inner.next_multiple_of(4), columns.next_multiple_of(4));
    let mut random = Random::named("linear", seed);
    let mut x = random.tensor(rows * inner, 0.0, 1.0);
    let mut w = random.tensor(inner * columns, 0.0, (3.0 / inner as f64).sqrt());
    let bias = random.tensor(columns, 0.0, 1.0);
    let mut before = random.tensor(rows * columns, 0.0, 1.0);
    let x_buffer = stored(context, "x", types.input, &mut x)?;
    let w_buffer = stored(context, "w", types.input, &mut w)?;
    let bias_buffer = upload(context, "bias", &bias)?;
    let mut worst = Difference::NONE;
    for epilogue in [Epilogue::Store, Epilogue::Gelu, Epilogue::Accumulate] {
        if epilogue == Epilogue::Accumulate && types.output != Precision::F32 {
            continue;
        }
        let y_buffer = stored(context, "y", types.output, &mut before)?;
        let bindings = Bindings { x: &x_buffer, w: &w_buffer, bias: &bias_buffer, y: &y_buffer };
        let params = Params::new(rows, inner, columns);
        execute(context, |recorder| record(recorder, variant, types, params, epilogue, bindings))?;
        let mut twin = before.clone();
        linear(&x, &w, &bias, inner, columns, epilogue, &mut twin);
        let got = read_stored(context, types.output, &y_buffer, rows * columns)?;
        // A weighted sum is about 1 here, though a single one may be far smaller. The erf of GELU adds its own error.
        let erf = if epilogue == Epilogue::Gelu { ERF } else { 0.0 };
        let tolerance = rounding(inner) + erf + storing(types.output);
        worst = worst.worse(Difference::of_floats_near(&got, &twin, 1.0, tolerance));
    }
    worst.of_variant("linear", &format!("{} from {} to {}", variant.name(), types.input, types.output))
}
