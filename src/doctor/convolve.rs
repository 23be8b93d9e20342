//! Checks of `embed/convolve.wgsl` and its variant, with ReLU and without, the kernel three wide at stride 1 and others.

use super::data::{UNIT, rounding, stored, unset};
use super::{Check, Difference, at_most, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision, Recorder};
use crate::kernels::convolve::{Bindings, Params, Window, cooperative, record};
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
    compare: |context, size, seed| {
        let size = dimensions(size)?;
        compare(context, size, seed, Precision::F32, &record)
    },
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
    compare: |context, size, seed| compare_cooperative(context, dimensions(size)?, seed),
    ..CHECK
};

/// By cooperative matrices: images, channels in and out, side of the image, of the kernel, stride.
pub(crate) fn compare_cooperative(context: &Context, size: [usize; 6], seed: u64) -> Result<Difference> {
    compare(context, size, seed, Precision::F16, &cooperative::record)
}

type Record = dyn Fn(&mut Recorder<'_>, Params, bool, Bindings<'_>) -> Result<()>;

/// What `record` records against the twin, of numbers that `precision` has: they are stored as f32 all the same.
fn compare(
    context: &Context,
    [images, inputs, outputs, side, kernel, stride]: [usize; 6],
    seed: u64,
    precision: Precision,
    record: &Record,
) -> Result<Difference> {
    at_most("pixels of the kernel's side", kernel, side)?;
    let row = outputs.next_multiple_of(4);
    let taps = inputs * kernel * kernel;
    let mut random = Random::named("convolve", seed);
    let x = stored(random.tensor(images * inputs * side * side, 0.0, 1.0), precision);
    let w = stored(random.tensor(taps * row, 0.0, (3.0 / taps as f64).sqrt()), precision);
    let bias = random.tensor(row, 0.0, 1.0);
    let (x_buffer, w_buffer) = (upload(context, "x", &x)?, upload(context, "w", &w)?);
    let bias_buffer = upload(context, "bias", &bias)?;
    let sum = match precision {
        Precision::F32 => rounding(taps),
        // As for dense layers by cooperative matrices: their adders may cut.
        Precision::F16 => 4.0 * (rounding(taps) + 2.0 * UNIT * (taps as f64 / 8.0)),
    };
    let mut worst = Difference::NONE;
    // None, what keeps the size at stride 1, and more than the kernel covers.
    for (padding, relu) in [(0, false), (kernel / 2, true), (kernel, false)] {
        let window = Window { kernel, stride, padding };
        let elements = images * outputs * window.out_side(side).pow(2);
        let y = unset(context, "y", elements)?;
        let params = Params::new(images, [inputs, outputs], side, window);
        let bindings = Bindings { x: &x_buffer, w: &w_buffer, bias: &bias_buffer, y: &y };
        execute(context, |recorder| record(recorder, params, relu, bindings))?;
        let got: Vec<f32> = download(context, &y, elements)?;
        let twin = convolve(&x, &w, &bias, [inputs, outputs], side, window, relu);
        worst = worst.worse(Difference::of_floats_near(&got, &twin, 1.0, sum));
    }
    Ok(worst)
}
