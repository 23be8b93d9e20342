//! Turns a texture that the application rendered into the normalised pixels of one image of a batch.

use crate::error::{Error, Result};
use crate::gpu::{Form, Operand, Recorder, grid, kernel};

kernel! {
    /// A thread computes one pixel in all three channels.
    pub static KERNEL = "texture" in "embed/texture.wgsl";
    params {
        /// Pixels along a side of the network's image.
        side: u32,
        /// Which image of the batch is written.
        slot: u32,
        /// Texels across the view.
        width: u32,
        /// Texels down the view.
        height: u32,
        /// Texels per pixel along x.
        scale_x: f32,
        /// Texels per pixel along y.
        scale_y: f32,
        /// Texels left of the pixels that the crop keeps.
        offset_x: f32,
        /// Texels above the pixels that the crop keeps.
        offset_y: f32,
        /// 1 for cubic convolution with a = -0.5, 0 for bilinear.
        bicubic: u32,
        /// 1 if the view has an sRGB format, which loading decodes.
        srgb: u32,
        /// Subtracted from red, where 1 is full brightness.
        mean_r: f32,
        /// Subtracted from green.
        mean_g: f32,
        /// Subtracted from blue.
        mean_b: f32,
        /// Red is divided by this afterwards.
        std_r: f32,
        /// Green is divided by this.
        std_g: f32,
        /// Blue is divided by this.
        std_b: f32,
    }
    bindings { view: texture, pixels: write }
    overrides {}
    workgroup [64, 1, 1];
}

/// One thread for each pixel.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.side as usize).pow(2).div_ceil(64))
}

/// Records one dispatch from `view` to image `params.slot` of `pixels` [images, 3, side, side]. The view must have a
/// floating-point or normalised format, filterable or not, and its texture the usage `TEXTURE_BINDING`.
///
/// # Errors
/// [`Error::Shape`] if the slot is not in the batch or the texture has fewer texels than `params` say; otherwise the
/// errors of [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    params: Params,
    view: &wgpu::TextureView,
    pixels: &wgpu::Buffer,
    images: u32,
) -> Result<()> {
    if params.slot >= images {
        return Err(Error::shape(KERNEL.name, format!("a slot below {images}"), params.slot.to_string()));
    }
    let texture = view.texture();
    if params.width > texture.width() || params.height > texture.height() {
        return Err(Error::shape(
            KERNEL.name,
            format!("a texture of at least {} x {}", params.width, params.height),
            format!("{} x {}", texture.width(), texture.height()),
        ));
    }
    recorder.dispatch(
        &KERNEL,
        &Form::plain(workgroups(&params)),
        &params,
        &[
            ("view", Operand::Texture(view)),
            ("pixels", Operand::buffer(pixels, images as usize * 3 * (params.side as usize).pow(2))),
        ],
    )
}
