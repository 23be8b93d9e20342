//! Comparison of `block/linear.wgsl` and its ways, with each epilogue, from and to each precision, in every tile shape.

use super::data::{ULP, UNIT, download_as, laid_out, place, rounding, stored, storing, upload_as};
use super::{Check, Difference, compare_ways, dimensions, execute, upload};
use crate::config::Activation;
use crate::error::Result;
use crate::gpu::{Context, Home, Placed, Precision, Traits, Types, Way, empty};
#[cfg(feature = "software")]
use crate::kernels::cpu;
use crate::kernels::layout::Layout;
use crate::kernels::linear::{Bindings, Call, Epilogue, KERNEL, Params, Residual, cooperative, record, texels, tiled};
use crate::random::Random;
use crate::reference::linear::{gather, linear};
use crate::ways::{Verified, seconds_of};

pub(super) const CHECKS: &[Check] = &[
    CHECK,
    #[cfg(feature = "software")]
    SUBGROUP,
    TILED,
    COOPERATIVE,
];

const CHECK: Check = Check {
    kernel: &KERNEL,
    dimensions: "rows, inner, columns",
    sizes: &[&[1, 4, 1], &[7, 64, 10], &[197, 192, 576], &[65, 768, 192]],
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &KERNEL, &calls(size)?, seed).await }),
};

#[cfg(feature = "software")]
const SUBGROUP: Check = Check {
    kernel: &cpu::linear::KERNEL,
    compare: |context, size, seed| {
        Box::pin(async move { compare_ways(context, &cpu::linear::KERNEL, &calls(size)?, seed).await })
    },
    ..CHECK
};

const TILED: Check = Check {
    kernel: &tiled::KERNEL,
    compare: |context, size, seed| {
        Box::pin(async move { compare_ways(context, &tiled::KERNEL, &calls(size)?, seed).await })
    },
    ..CHECK
};

const COOPERATIVE: Check = Check {
    kernel: &cooperative::KERNEL,
    compare: |context, size, seed| {
        Box::pin(async move { compare_ways(context, &cooperative::KERNEL, &calls(size)?, seed).await })
    },
    ..CHECK
};

/// Half the error that `shared/activation.wgsl` states for its erf, plus the rounding of its polynomial and
/// exponential.
const ERF: f64 = 0.75e-7 + 4.0 * UNIT;

/// Calls of one size, with all types, homes and epilogues.
fn calls(size: &[usize]) -> Result<Vec<Call>> {
    let [rows, inner, columns] = dimensions(size)?;
    let params = Params::new(rows, inner.next_multiple_of(4), columns.next_multiple_of(4));
    let homes = |types: Types| Home::ALL.map(|home| types.at(home));
    let ends = |epilogue: Epilogue, types: Types| !epilogue.adds() || types.output == Precision::F32;
    Ok(Types::ALL
        .into_iter()
        .flat_map(homes)
        .flat_map(|types| Epilogue::ALL.map(|epilogue| Call { params, types, epilogue }))
        .filter(|call| ends(call.epilogue, call.types))
        .collect())
}

/// The row count that a search measures in place of `rows`: a power of two, or three quarters of one. So a network
/// whose tokens become fewer does not need a search in every block.
fn bucket(rows: u32) -> u32 {
    let power = rows.max(8).next_power_of_two();
    if rows <= power / 4 * 3 { power / 4 * 3 } else { power }
}

impl Verified for Call {
    /// Sizes below, at and past the edges of every tile, with inner sizes of whole slabs and others, and with columns
    /// that are multiples of eight and others.
    fn samples(&self, _traits: &Traits) -> Vec<Self> {
        const ROWS: [usize; 5] = [7, 65, 130, 256, 300];
        const INNER: [usize; 6] = [20, 64, 72, 128, 144, 256];
        const COLUMNS: [usize; 4] = [12, 68, 136, 192];
        let sizes = ROWS.iter().flat_map(|&rows| INNER.map(|inner| (rows, inner)));
        let sizes = sizes.flat_map(|(rows, inner)| COLUMNS.map(|columns| Params::new(rows, inner, columns)));
        sizes.map(|params| Self { params, ..*self }).collect()
    }

    async fn compare(&self, context: &Context, way: &'static Way<Self>, seed: u64) -> Result<Difference> {
        let Self { params, types, epilogue } = *self;
        let (rows, inner, columns) = (params.rows as usize, params.inner4 as usize * 4, params.columns4 as usize * 4);
        let mut random = Random::named("linear", seed);
        let x = stored(random.tensor(rows * inner, 0.0, 1.0), types.input);
        let w = stored(random.tensor(inner * columns, 0.0, (3.0 / inner as f64).sqrt()), types.input);
        let bias = random.tensor(columns, 0.0, 1.0);
        let before = stored(random.tensor(rows * columns, 0.0, 1.0), types.output);
        let x_buffer = upload_as(context, "x", &x, types.input)?;
        let place_of_w = (texels(inner, columns, types.input), types.home);
        let placed_w = match types.home {
            Home::Buffer => place(context, "w", &w, types.input, place_of_w)?,
            // In a texture, rows are padded to a multiple of eight columns.
            Home::Texture => {
                let layout = Layout { stride: columns.next_multiple_of(8) as u32, shift: 0 };
                place(context, "w", &laid_out(&w, columns, layout), types.input, place_of_w)?
            }
        };
        let bias_buffer = upload(context, "bias", &bias)?;
        // Rows in another order, some of them twice, and never row 0.
        let gathered: Vec<u32> = (0..rows as u32).rev().map(|row| 1 + (row * 7) % rows as u32).collect();
        let tokens = random.tensor((rows + 1) * columns, 0.0, 1.0);
        let tokens_buffer = upload(context, "residual", &tokens)?;
        let rows_buffer = upload(context, "rows", &gathered)?;
        let y_buffer = upload_as(context, "y", &before, types.output)?;
        let residual = Some(Residual { tokens: &tokens_buffer, rows: &rows_buffer });
        let bindings = Bindings { x: &x_buffer, w: placed_w.matrix(), bias: &bias_buffer, y: &y_buffer, residual };
        execute(context, |recorder| record(recorder, way, *self, bindings))?;
        let mut expected = match epilogue {
            Epilogue::Gather => gather(&tokens, columns, &gathered),
            _ => before.clone(),
        };
        linear(&x, &w, &bias, inner, columns, epilogue, &mut expected);
        let got = download_as(context, &y_buffer, rows * columns, types.output).await?;
        // A weighted sum is usually about 1 here, though a single one may be much smaller. Activations add their own
        // errors.
        let activation = match epilogue {
            Epilogue::Activate(Activation::Gelu) => ERF,
            // WGSL states an error of 1e-5 for the hyperbolic tangent, of which half counts.
            Epilogue::Activate(Activation::GeluTanh) => 5e-6,
            // An exponential of numbers down to -10, which has 3 + 2 |x| units in the last place, and a division.
            Epilogue::Activate(Activation::QuickGelu) => 26.0 * ULP,
            Epilogue::Store | Epilogue::Accumulate | Epilogue::Gather => 0.0,
        };
        let sum = match way.kernel.name == cooperative::KERNEL.name {
            // The adders of cooperative matrices may truncate instead of rounding, at most once for every 8 products.
            // Such errors all have the same direction.
            true => 4.0 * (rounding(inner) + 2.0 * UNIT * (inner as f64 / 8.0)),
            false => rounding(inner),
        };
        Ok(Difference::of_floats_near(&got, &expected, 1.0, sum + activation + storing(types.output)))
    }

    fn measured(&self) -> Option<Self> {
        // The epilogue takes too little time to matter.
        let params = Params { rows: bucket(self.params.rows), ..self.params };
        Some(Self { params, epilogue: Epilogue::Store, ..*self })
    }

    async fn seconds(&self, context: &Context, way: &'static Way<Self>) -> Result<f64> {
        let Self { params, types, .. } = *self;
        let (rows, inner, columns) = (params.rows as usize, params.inner4 as usize * 4, params.columns4 as usize * 4);
        let x = empty(context, "measured x", types.input.words(rows * inner))?;
        let texels = (types.home == Home::Texture).then_some(texels(inner, columns, types.input));
        let w = Placed::empty(context, "measured w", types.input.words(inner * columns), texels)?;
        let bias = empty(context, "measured bias", columns)?;
        let y = empty(context, "measured y", types.output.words(rows * columns))?;
        seconds_of(context, |recorder| {
            let bindings = Bindings { x: &x, w: w.matrix(), bias: &bias, y: &y, residual: None };
            record(recorder, way, *self, bindings)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::bucket;

    #[test]
    fn buckets_are_not_below_and_at_most_half_above_the_rows() {
        for rows in 1..5000 {
            let bucket = bucket(rows);
            assert!(bucket >= rows && (rows < 8 || bucket * 2 <= rows * 3), "{rows}: {bucket}");
        }
        assert_eq!([8, 9, 13, 1576].map(bucket), [8, 12, 16, 2048]);
    }
}
