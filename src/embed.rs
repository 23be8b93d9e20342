//! From pixels to the first tokens.

use crate::error::Result;
use crate::forward::Stage;
use crate::gpu::Recorder;
use crate::kernels::linear::{self, Epilogue};
use crate::kernels::{assemble, patchify};

/// Records patches, their projection, and the tokens with position and prefix.
pub(crate) fn record(recorder: &mut Recorder<'_>, stage: &Stage<'_>) -> Result<()> {
    let (config, workspace, weights) = (stage.config(), stage.workspace, stage.weights);
    let patchify = patchify::Params {
        images: stage.images as u32,
        side: config.image as u32,
        patch: config.patch as u32,
        stride: config.patch_stride() as u32,
    };
    let bindings = patchify::Bindings { pixels: &workspace.pixels, patches: &workspace.patches };
    patchify::record(recorder, patchify, bindings)?;

    let projection = linear::Params::new(stage.images * stage.patches, weights.patch.inner, config.width);
    let bindings = linear::Bindings {
        x: &workspace.patches,
        w: &weights.patch.w,
        bias: &weights.patch.bias,
        y: &workspace.normed,
    };
    linear::record(recorder, projection, Epilogue::Store, bindings)?;

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
