//! The first stage: from pixels to tokens.

use super::block::{Normed, Output, record_linear, record_norm};
use super::{Forward, Tokens};
use crate::error::Result;
use crate::gpu::{Precision, Recorder};
use crate::kernels::{assemble, convolve, patchify};
use crate::plan::Convolution;
use crate::ways;

/// Records the stem (if there is one), the patches, their projection, the tokens with positions and prefix, and the
/// norm before the blocks (if the model has one).
pub(super) fn record(recorder: &mut Recorder<'_>, forward: &Forward<'_>) -> Result<Tokens> {
    let (config, workspace, weights) = (forward.config(), forward.workspace, forward.weights);
    let tokens = forward.first_tokens();
    let (pixels, [height, width]) = record_stem(recorder, forward)?;
    let patchify = patchify::Params {
        images: forward.images as u32,
        channels: config.patch_channels() as u32,
        height: height as u32,
        width: width as u32,
        patch_side: config.patch_side() as u32,
        stride4: (config.patch_stride() / 4) as u32,
    };
    let bindings = patchify::Bindings { pixels, patches: &workspace.patches };
    patchify::record(recorder, weights.patch.precision, patchify, bindings)?;

    let rows = forward.images * tokens.patches;
    record_linear(recorder, rows, &weights.patch, Output::PLAIN, &workspace.patches, &workspace.normed)?;

    let assembly = assemble::Params {
        images: forward.images as u32,
        prefix: config.prefix() as u32,
        patches: tokens.patches as u32,
        width4: (config.width / 4) as u32,
    };
    let bindings = assemble::Bindings {
        projected: &workspace.normed,
        prefix: &weights.prefix,
        position: &weights.position,
        tokens: &tokens.stream,
        sizes: &tokens.sizes,
    };
    assemble::record(recorder, assembly, bindings)?;
    let Some(norm) = &weights.norm_before else { return Ok(tokens) };
    let normed = Normed { rows: tokens.all(), precision: Precision::F32, gathered: None };
    let to = workspace.other_tokens(&tokens.stream);
    record_norm(recorder, normed, config, norm, &tokens.stream, to)?;
    Ok(Tokens { stream: to.clone(), ..tokens })
}

/// Records the convolutions of the stem. Returns the buffer that patches are cut from, which is the input or (as the
/// number of layers is odd) `stem`, and its height and width in pixels.
fn record_stem<'a>(recorder: &mut Recorder<'_>, forward: &Forward<'a>) -> Result<(&'a wgpu::Buffer, [usize; 2])> {
    let workspace = forward.workspace;
    let (mut from, mut to, mut size) = (&workspace.pixels, &workspace.stem, forward.config().image);
    for (planned, weights) in Convolution::of(forward.config()).into_iter().zip(&forward.weights.stem) {
        let w = weights.w.matrix();
        let params = convolve::Params::new(forward.images, planned.channels, planned.side, planned.window);
        let call = convolve::Call { params, relu: true, precision: forward.precision(), home: w.home() };
        let way = ways::choose(recorder.context(), &call)?;
        convolve::record(recorder, way, call, convolve::Bindings { x: from, w, bias: &weights.bias, y: to })?;
        size = [planned.window.out_side(planned.side); 2];
        (from, to) = (to, if std::ptr::eq(to, &workspace.stem) { &workspace.patches } else { &workspace.stem });
    }
    Ok((from, size))
}
