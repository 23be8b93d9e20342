//! A texture that the application rendered to the normalised pixels of one image of a batch.

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};
use crate::gpu::{Binding, Kernel, Operand, Recorder, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "texture",
    shader: "embed/texture.wgsl",
    bindings: &[Binding::texture("view"), Binding::write("pixels")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The shader's uniform. [`Preprocess::texture_params`](crate::input::Preprocess::texture_params) fills it in.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// Pixels along a side of the network's image.
    pub side: u32,
    /// Which image of the batch is written.
    pub slot: u32,
    /// Texels across the view.
    pub width: u32,
    /// Texels down the view.
    pub height: u32,
    /// Texels per pixel along x.
    pub scale_x: f32,
    /// Texels per pixel along y.
    pub scale_y: f32,
    /// Texels left of the pixels that the crop keeps.
    pub offset_x: f32,
    /// Texels above the pixels that the crop keeps.
    pub offset_y: f32,
    /// 1 for cubic convolution with a = -0.5, 0 for bilinear.
    pub bicubic: u32,
    /// 1 where the view's format is an sRGB one, which loading decodes.
    pub srgb: u32,
    /// Subtracted from red, in units of full brightness.
    pub mean_r: f32,
    /// Subtracted from green.
    pub mean_g: f32,
    /// Subtracted from blue.
    pub mean_b: f32,
    /// Divides red afterwards.
    pub std_r: f32,
    /// Divides green.
    pub std_g: f32,
    /// Divides blue.
    pub std_b: f32,
}

/// One thread for each pixel, all three channels.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.side as usize).pow(2).div_ceil(64))
}

/// Records one dispatch: `view` to image `params.slot` of `pixels` [images, 3, side, side]. The view is of a floating
/// or normalised format, filterable or not; its texture has the usage `TEXTURE_BINDING`.
///
/// # Errors
/// [`Error::Shape`] when the slot is not in the batch or the texture has fewer texels than `params` say, else as
/// [`Recorder::dispatch`].
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
        &[],
        bytemuck::bytes_of(&params),
        &[Operand::Texture(view), Operand::buffer(pixels, images as usize * 3 * (params.side as usize).pow(2))],
        workgroups(&params),
    )
}
