//! Comparison of `embed/convolve.wgsl` and its ways, with and without ReLU, for kernels of side 3 at stride 1 and
//! others.

use super::data::{UNIT, laid_out, place, rounding, stored, unset};
use super::{Check, Difference, at_most, compare_ways, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Home, Precision, Traits, Way};
use crate::kernels::convolve::{Bindings, Call, KERNEL, Params, Window, cooperative, record, texels};
#[cfg(feature = "software")]
use crate::kernels::cpu;
use crate::kernels::layout::Layout;
use crate::random::Random;
use crate::reference::convolve::convolve;
use crate::ways::Verified;

pub(super) const CHECKS: &[Check] = &[
    CHECK,
    #[cfg(feature = "software")]
    SUBGROUP,
    COOPERATIVE,
];

const CHECK: Check = Check {
    kernel: &KERNEL,
    dimensions: "images, inputs, outputs, side, kernel, stride",
    sizes: &[
        &[1, 1, 1, 1, 1, 1],
        &[2, 5, 9, 11, 3, 1],
        &[1, 3, 64, 30, 7, 2],
        &[1, 64, 64, 17, 3, 1],
        &[1, 12, 20, 16, 8, 8],
    ],
    compare: |context, size, seed| {
        Box::pin(async move { compare_ways(context, &KERNEL, &calls(size, Precision::F32, Home::Buffer)?, seed).await })
    },
};

#[cfg(feature = "software")]
const SUBGROUP: Check = Check {
    kernel: &cpu::convolve::KERNEL,
    compare: |context, size, seed| {
        Box::pin(async move {
            compare_ways(context, &cpu::convolve::KERNEL, &calls(size, Precision::F32, Home::Texture)?, seed).await
        })
    },
    ..CHECK
};

const COOPERATIVE: Check = Check {
    kernel: &cooperative::KERNEL,
    // Channel counts that are whole slabs and others, both below and above the channels that one workgroup computes.
    sizes: &[
        &[1, 1, 1, 1, 1, 1],
        &[2, 5, 9, 11, 3, 1],
        &[1, 3, 64, 30, 7, 2],
        &[1, 64, 70, 17, 3, 1],
        &[2, 32, 20, 16, 8, 8],
    ],
    compare: |context, size, seed| {
        Box::pin(async move {
            compare_ways(context, &cooperative::KERNEL, &calls(size, Precision::F16, Home::Buffer)?, seed).await
        })
    },
    ..CHECK
};

/// Calls of one size without padding, with padding that keeps the size at stride 1, and with more padding.
fn calls(size: &[usize], precision: Precision, home: Home) -> Result<Vec<Call>> {
    let [images, inputs, outputs, side, kernel, stride] = dimensions(size)?;
    at_most("pixels of the kernel's side", kernel, side)?;
    let call = |(padding, relu)| {
        let params = Params::new(images, [inputs, outputs], side, Window { kernel, stride, padding });
        Call { params, relu, precision, home }
    };
    Ok([(0, false), (kernel / 2, true), (kernel, false)].map(call).to_vec())
}

impl Verified for Call {
    /// Sizes below, at and past the edges of the part that one workgroup computes, with this call's input channels and
    /// window.
    fn samples(&self, _traits: &Traits) -> Vec<Self> {
        let window = self.params.window();
        let sample = |[images, outputs, out]: [usize; 3]| {
            let covered = (out - 1) * window.stride + window.kernel;
            let side = covered.saturating_sub(2 * window.padding).max(window.kernel);
            Self { params: Params::new(images, [self.params.inputs as usize, outputs], side, window), ..*self }
        };
        // Images, channels of y, pixels along its side.
        [[1, 4, 1], [2, 64, 8], [1, 68, 13], [2, 60, 16], [1, 20, 21], [1, 68, 24]].map(sample).to_vec()
    }

    async fn compare(&self, context: &Context, way: &'static Way<Self>, seed: u64) -> Result<Difference> {
        let Self { params, relu, precision, home } = *self;
        let [images, inputs, outputs, side] =
            [params.images, params.inputs, params.outputs, params.side].map(|n| n as usize);
        let window = params.window();
        let (row, taps) = (outputs.next_multiple_of(4), inputs * window.kernel.pow(2));
        let mut random = Random::named("convolve", seed);
        // The numbers are rounded to `precision`, but stored as f32.
        let x = stored(random.tensor(images * inputs * side * side, 0.0, 1.0), precision);
        let w = stored(random.tensor(taps * row, 0.0, (3.0 / taps as f64).sqrt()), precision);
        let bias = random.tensor(row, 0.0, 1.0);
        let (x_buffer, bias_buffer) = (upload(context, "x", &x)?, upload(context, "bias", &bias)?);
        let place_of_w = (texels(taps, outputs), home);
        let placed = match home {
            Home::Buffer => place(context, "w", &w, Precision::F32, place_of_w)?,
            // In a texture, rows are padded to a multiple of eight columns.
            Home::Texture => {
                let layout = Layout { stride: row.next_multiple_of(8) as u32, shift: 0 };
                place(context, "w", &laid_out(&w, row, layout), Precision::F32, place_of_w)?
            }
        };
        let elements = images * outputs * window.out_side(side).pow(2);
        let y = unset(context, "y", elements)?;
        let bindings = Bindings { x: &x_buffer, w: placed.matrix(), bias: &bias_buffer, y: &y };
        execute(context, |recorder| record(recorder, way, *self, bindings))?;
        let got: Vec<f32> = download_async(context, &y, elements).await?;
        let expected = convolve(&x, &w, &bias, [inputs, outputs], side, window, relu);
        let tolerance = match way.kernel.name == cooperative::KERNEL.name {
            // The adders of cooperative matrices may truncate, as in dense layers.
            true => 4.0 * (rounding(taps) + 2.0 * UNIT * (taps as f64 / 8.0)),
            false => rounding(taps),
        };
        Ok(Difference::of_floats_near(&got, &expected, 1.0, tolerance))
    }
}
