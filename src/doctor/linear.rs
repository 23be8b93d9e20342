//! Checks of `block/linear.wgsl` and its variants, with each epilogue, from and to each precision, in every tile shape.

use super::data::{UNIT, download_as, laid_out, place, rounding, stored, storing, upload_as};
use super::{Check, Difference, dimensions, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Home, Precision, Types};
use crate::kernels::attention_powers::Layout;
use crate::kernels::linear::{Bindings, Epilogue, Params, Residual, Variant, record, texels};
use crate::random::Random;
use crate::reference::linear::{gather, linear};

pub(super) const CHECK: Check = Check {
    kernel: "linear",
    dimensions: "rows, inner, columns",
    sizes: &[&[1, 4, 1], &[7, 64, 10], &[197, 192, 576], &[65, 768, 192]],
    compare: |context, size, seed| compare_all(context, "linear", size, seed),
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "linear_subgroup",
    compare: |context, size, seed| compare_all(context, "linear_subgroup", size, seed),
    ..CHECK
};

pub(super) const TILED: Check = Check {
    kernel: "linear_tiled",
    compare: |context, size, seed| compare_all(context, "linear_tiled", size, seed),
    ..CHECK
};

pub(super) const COOPERATIVE: Check = Check {
    kernel: "linear_cooperative",
    compare: |context, size, seed| compare_all(context, "linear_cooperative", size, seed),
    ..CHECK
};

/// Half the error that `shared/gelu.wgsl` states for its erf, and the rounding of its polynomial and exponential.
pub(super) const ERF: f64 = 0.75e-7 + 4.0 * UNIT;

/// Every variant that runs `kernel`.
fn compare_all(context: &Context, kernel: &str, size: &[usize], seed: u64) -> Result<Difference> {
    let mut worst = Difference::NONE;
    for types in Types::ALL.into_iter().flat_map(|types| Home::ALL.map(|home| types.at(home))) {
        for variant in Variant::all(context, types).into_iter().filter(|variant| variant.kernel().name == kernel) {
            worst = worst.worse(compare(context, variant, types, &EPILOGUES, size, seed)?);
            // Compiling the other forms of a kernel that is wrong would take minutes on a CPU.
            if !worst.passed() {
                return Ok(worst);
            }
        }
    }
    Ok(worst)
}

const EPILOGUES: [Epilogue; 4] = [Epilogue::Store, Epilogue::Gelu, Epilogue::Accumulate, Epilogue::Gather];

/// One variant against the twin, at one size, with those of `epilogues` that can end in its output type.
pub(crate) fn compare(
    context: &Context,
    variant: Variant,
    types: Types,
    epilogues: &[Epilogue],
    size: &[usize],
    seed: u64,
) -> Result<Difference> {
    let [rows, inner, columns] = dimensions(size)?;
    let (inner, columns) = (inner.next_multiple_of(4), columns.next_multiple_of(4));
    let mut random = Random::named("linear", seed);
    let x = stored(random.tensor(rows * inner, 0.0, 1.0), types.input);
    let w = stored(random.tensor(inner * columns, 0.0, (3.0 / inner as f64).sqrt()), types.input);
    let bias = random.tensor(columns, 0.0, 1.0);
    let before = stored(random.tensor(rows * columns, 0.0, 1.0), types.output);
    let x_buffer = upload_as(context, "x", &x, types.input)?;
    let texels = texels(inner, columns, types.input);
    let placed_w = match types.home {
        Home::Buffer => place(context, "w", &w, types.input, (texels, types.home))?,
        // Rows of whole eights.
        Home::Texture => {
            let layout = Layout { stride: columns.next_multiple_of(8) as u32, shift: 0 };
            place(context, "w", &laid_out(&w, columns, layout), types.input, (texels, types.home))?
        }
    };
    let bias_buffer = upload(context, "bias", &bias)?;
    // Rows in another order, some twice, and never the first.
    let gathered: Vec<u32> = (0..rows as u32).rev().map(|row| 1 + (row * 7) % rows as u32).collect();
    let tokens = random.tensor((rows + 1) * columns, 0.0, 1.0);
    let tokens_buffer = upload(context, "residual", &tokens)?;
    let rows_buffer = upload(context, "rows", &gathered)?;
    let mut worst = Difference::NONE;
    for &epilogue in epilogues.iter().filter(|epilogue| !epilogue.adds() || types.output == Precision::F32) {
        let y_buffer = upload_as(context, "y", &before, types.output)?;
        let residual = Some(Residual { tokens: &tokens_buffer, rows: &rows_buffer });
        let bindings = Bindings { x: &x_buffer, w: placed_w.matrix(), bias: &bias_buffer, y: &y_buffer, residual };
        let params = Params::new(rows, inner, columns);
        execute(context, |recorder| record(recorder, variant, types, params, epilogue, bindings))?;
        let mut twin = match epilogue {
            Epilogue::Gather => gather(&tokens, columns, &gathered),
            _ => before.clone(),
        };
        linear(&x, &w, &bias, inner, columns, epilogue, &mut twin);
        let got = download_as(context, &y_buffer, rows * columns, types.output)?;
        // A weighted sum is about 1 here, though a single one may be far smaller. The erf of GELU adds its own error.
        let erf = if epilogue == Epilogue::Gelu { ERF } else { 0.0 };
        let sum = match variant {
            // Adders of matrices may cut instead of rounding, once every 8 products or more seldom: such errors all go
            // one way.
            Variant::Cooperative(_) => 4.0 * (rounding(inner) + 2.0 * UNIT * (inner as f64 / 8.0)),
            _ => rounding(inner),
        };
        let tolerance = sum + erf + storing(types.output);
        worst = worst.worse(Difference::of_floats_near(&got, &twin, 1.0, tolerance));
    }
    Ok(worst)
}
