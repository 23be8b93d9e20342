//! Checks of `embed/convolve.wgsl` and its variants, with ReLU and without, the kernel three wide at stride 1 and others.

use std::fmt;

use super::data::{UNIT, laid_out, place, rounding, stored, unset};
use super::{Check, Difference, at_most, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Home, Precision};
use crate::kernels::attention_powers::Layout;
use crate::kernels::convolve::{Bindings, Params, Variant, Window, record, texels};
use crate::random::Random;
use crate::reference::convolve::convolve;

pub(super) const CHECK: Check = Check {
    kernel: "convolve",
    dimensions: "images, inputs, outputs, side, kernel, stride",
    sizes: &[
        &[1, 1, 1, 1, 1, 1],
        &[2, 5, 9, 11, 3, 1],
        &[1, 3, 64, 30, 7, 2],
        &[1, 64, 64, 17, 3, 1],
        &[1, 12, 20, 16, 8, 8],
    ],
    compare: |context, size, seed| compare_all(context, Variant::Plain, size, seed),
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "convolve_subgroup",
    compare: |context, size, seed| compare_all(context, Variant::Subgroup, size, seed),
    ..CHECK
};

pub(super) const COOPERATIVE: Check = Check {
    kernel: "convolve_cooperative",
    // Channels that are whole slabs and others, fewer and more than a workgroup makes.
    sizes: &[
        &[1, 1, 1, 1, 1, 1],
        &[2, 5, 9, 11, 3, 1],
        &[1, 3, 64, 30, 7, 2],
        &[1, 64, 70, 17, 3, 1],
        &[2, 32, 20, 16, 8, 8],
    ],
    compare: |context, size, seed| compare_all(context, Variant::Cooperative, size, seed),
    ..CHECK
};

/// What a session uses of the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) variant: Variant,
    pub(crate) window: Window,
    pub(crate) relu: bool,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window { kernel, stride, padding } = self.window;
        let variant = format!("{:?}", self.variant).to_lowercase();
        write!(f, "convolve {variant} {kernel} by {stride} in {padding}")
    }
}

/// A variant without padding, with what keeps the size at stride 1, and with more than the kernel covers.
fn compare_all(context: &Context, variant: Variant, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, inputs, outputs, side, kernel, stride] = dimensions(size)?;
    let mut worst = Difference::NONE;
    for (padding, relu) in [(0, false), (kernel / 2, true), (kernel, false)] {
        let used = Use { variant, window: Window { kernel, stride, padding }, relu };
        worst = worst.worse(used.compare(context, [images, inputs, outputs, side], seed)?);
    }
    Ok(worst)
}

impl Use {
    /// Kernel and twin for images, channels in and out, and pixels along the side.
    pub(crate) fn compare(
        self,
        context: &Context,
        [images, inputs, outputs, side]: [usize; 4],
        seed: u64,
    ) -> Result<Difference> {
        let Self { variant, window, relu } = self;
        at_most("pixels of the kernel's side", window.kernel, side)?;
        let (row, taps) = (outputs.next_multiple_of(4), inputs * window.kernel.pow(2));
        let (precision, sum) = match variant {
            Variant::Plain | Variant::Subgroup => (Precision::F32, rounding(taps)),
            // As for dense layers by cooperative matrices: their adders may cut.
            Variant::Cooperative => (Precision::F16, 4.0 * (rounding(taps) + 2.0 * UNIT * (taps as f64 / 8.0))),
        };
        let mut random = Random::named("convolve", seed);
        // Stored as f32 all the same.
        let x = stored(random.tensor(images * inputs * side * side, 0.0, 1.0), precision);
        let w = stored(random.tensor(taps * row, 0.0, (3.0 / taps as f64).sqrt()), precision);
        let bias = random.tensor(row, 0.0, 1.0);
        let (x_buffer, bias_buffer) = (upload(context, "x", &x)?, upload(context, "bias", &bias)?);
        let size = (texels(taps, outputs), variant.home());
        let placed = match variant.home() {
            Home::Buffer => place(context, "w", &w, Precision::F32, size)?,
            // Rows of whole eights.
            Home::Texture => {
                let layout = Layout { stride: row.next_multiple_of(8) as u32, shift: 0 };
                place(context, "w", &laid_out(&w, row, layout), Precision::F32, size)?
            }
        };
        let elements = images * outputs * window.out_side(side).pow(2);
        let y = unset(context, "y", elements)?;
        let params = Params::new(images, [inputs, outputs], side, window);
        let bindings = Bindings { x: &x_buffer, w: placed.matrix(), bias: &bias_buffer, y: &y };
        execute(context, |recorder| record(recorder, variant, params, relu, bindings))?;
        let got: Vec<f32> = download(context, &y, elements)?;
        let twin = convolve(&x, &w, &bias, [inputs, outputs], side, window, relu);
        Ok(Difference::of_floats_near(&got, &twin, 1.0, sum))
    }
}
