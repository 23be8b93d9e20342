//! From pixels to the first tokens.

use crate::block::{Output, record_linear};
use crate::error::Result;
use crate::forward::Stage;
use crate::gpu::Recorder;
use crate::kernels::{assemble, convolve, patchify};
use crate::plan::Convolution;
use crate::tune;

/// Records the stem where there is one, patches, their projection, and the tokens with position and prefix.
pub(crate) fn record(recorder: &mut Recorder<'_>, stage: &Stage<'_>) -> Result<()> {
    let (config, workspace, weights) = (stage.config(), stage.workspace, stage.weights);
    let (pixels, side) = record_stem(recorder, stage)?;
    let patchify = patchify::Params {
        images: stage.images as u32,
        channels: config.patch_channels() as u32,
        side: side as u32,
        patch: config.patch_side() as u32,
        stride4: (config.patch_stride() / 4) as u32,
    };
    let bindings = patchify::Bindings { pixels, patches: &workspace.patches };
    patchify::record(recorder, weights.patch.precision, patchify, bindings)?;

    let rows = stage.images * stage.patches;
    record_linear(recorder, rows, &weights.patch, Output::PLAIN, &workspace.patches, &workspace.normed)?;

    let assembly = assemble::Params {
        images: stage.images as u32,
        prefix: config.prefix() as u32,
        patches: stage.patches as u32,
        width4: (config.width / 4) as u32,
    };
    let bindings = assemble::Bindings {
        projected: &workspace.normed,
        prefix: &weights.prefix,
        position: &weights.position,
        tokens: stage.stream(),
        sizes: stage.sizes(),
    };
    assemble::record(recorder, assembly, bindings)
}

/// Records the convolutions of the stem. Returns what patches are cut from and the pixels along its side: the input, or
/// what an odd number of layers leaves in `stem`.
fn record_stem<'a>(recorder: &mut Recorder<'_>, stage: &Stage<'a>) -> Result<(&'a wgpu::Buffer, usize)> {
    let workspace = stage.workspace;
    let (mut from, mut to, mut side) = (&workspace.pixels, &workspace.stem, stage.config().image);
    for (planned, weights) in Convolution::of(stage.config()).into_iter().zip(&stage.weights.stem) {
        let params = convolve::Params::new(stage.images, planned.channels, planned.side, planned.window);
        let convolution = (&params, planned.window);
        let w = weights.w.matrix();
        let variant = tune::of_convolution(recorder.context(), stage.precision(), convolution, w.home());
        let bindings = convolve::Bindings { x: from, w, bias: &weights.bias, y: to };
        convolve::record(recorder, variant, params, true, bindings)?;
        side = planned.window.out_side(planned.side);
        (from, to) = (to, if std::ptr::eq(to, &workspace.stem) { &workspace.patches } else { &workspace.stem });
    }
    Ok((from, side))
}
