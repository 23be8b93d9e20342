//! Convolution of images with bias and ReLU: LV-ViT's stem.

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};
use crate::gpu::{Binding, Kernel, Operand, Recorder, grid};

pub mod cooperative;

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "convolve",
    shader: "embed/convolve.wgsl",
    bindings: &[Binding::read("x"), Binding::read("w"), Binding::read("bias"), Binding::write("y")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// B
    pub images: u32,
    /// C, channels of x.
    pub inputs: u32,
    /// O, channels of y.
    pub outputs: u32,
    /// O / 4, rounded up.
    pub outputs4: u32,
    /// S, pixels along the side of x.
    pub side: u32,
    /// K, pixels along the kernel's side.
    pub kernel: u32,
    /// Pixels from one place of the kernel to the next.
    pub stride: u32,
    /// Zeros on each side of x.
    pub padding: u32,
    /// U, pixels along the side of y.
    pub out_side: u32,
}

/// A kernel's side, stride and padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// K, at least 1.
    pub kernel: usize,
    /// At least 1.
    pub stride: usize,
    /// Zeros on each side.
    pub padding: usize,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, C, S, S]
    pub x: &'a wgpu::Buffer,
    /// [C, K, K, outputs4 * 4], zero past `outputs`
    pub w: &'a wgpu::Buffer,
    /// [outputs4 * 4]
    pub bias: &'a wgpu::Buffer,
    /// [B, O, U, U]
    pub y: &'a wgpu::Buffer,
}

impl Window {
    /// U, pixels along the side of what `side` pixels become; 0 where the kernel is larger than the padded image.
    pub fn out_side(&self, side: usize) -> usize {
        (side + 2 * self.padding).checked_sub(self.kernel).map_or(0, |rest| rest / self.stride.max(1) + 1)
    }
}

impl Params {
    /// Sizes of a convolution of `images` images of `inputs` channels, `side` pixels along a side, to `outputs` channels.
    pub fn new(images: usize, [inputs, outputs]: [usize; 2], side: usize, window: Window) -> Self {
        Self {
            images: images as u32,
            inputs: inputs as u32,
            outputs: outputs as u32,
            outputs4: outputs.div_ceil(4) as u32,
            side: side as u32,
            kernel: window.kernel as u32,
            stride: window.stride as u32,
            padding: window.padding as u32,
            out_side: window.out_side(side) as u32,
        }
    }

    /// That the kernel fits.
    fn check(&self) -> Result<()> {
        if self.out_side > 0 {
            return Ok(());
        }
        let got = format!("{} pixels and {} zeros on each side", self.side, self.padding);
        Err(Error::shape(KERNEL.name, format!("room for a kernel of {} pixels", self.kernel), got))
    }

    fn operands<'a>(&self, bindings: Bindings<'a>) -> [Operand<'a>; 4] {
        let taps = self.inputs as usize * (self.kernel as usize).pow(2);
        [
            Operand::buffer(bindings.x, self.places(self.side, self.inputs)),
            Operand::buffer(bindings.w, taps * self.outputs4 as usize * 4),
            Operand::buffer(bindings.bias, self.outputs4 as usize * 4),
            Operand::buffer(bindings.y, self.places(self.out_side, self.outputs)),
        ]
    }

    fn places(&self, side: u32, channels: u32) -> usize {
        self.images as usize * channels as usize * (side as usize).pow(2)
    }
}

/// One thread for 8 neighbouring pixels by two vec4s of output channels.
pub fn workgroups(params: &Params) -> [u32; 3] {
    let lines = params.images as usize * params.out_side as usize;
    grid((lines * params.out_side.div_ceil(8) as usize * params.outputs4.div_ceil(2) as usize).div_ceil(64))
}

/// Records one dispatch; with `relu`, what is negative becomes zero.
///
/// # Errors
/// [`Error::Shape`] when the kernel is larger than the padded image; else as [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, relu: bool, bindings: Bindings<'_>) -> Result<()> {
    params.check()?;
    recorder.dispatch(
        &KERNEL,
        &[("RELU", f64::from(u8::from(relu))), ("ROW3", f64::from(u8::from(params.kernel == 3 && params.stride == 1)))],
        bytemuck::bytes_of(&params),
        &params.operands(bindings),
        workgroups(&params),
    )
}
