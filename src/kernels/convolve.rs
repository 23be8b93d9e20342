//! Convolution of images with bias and ReLU: LV-ViT's stem.

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};
use crate::gpu::{Binding, Context, Home, Kernel, Matrix, Operand, Precision, Recorder, Texels, Types, grid};
use crate::kernels::linear;

pub mod cooperative;
pub mod subgroup;

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
    /// [C, K, K, outputs4 * 4], zero past `outputs`, in the variant's [home](Variant::home)
    pub w: Matrix<'a>,
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

    /// C K K, rows of w.
    fn taps(&self) -> usize {
        self.inputs as usize * (self.kernel as usize).pow(2)
    }

    fn places(&self, side: u32, channels: u32) -> usize {
        self.images as usize * channels as usize * (side as usize).pow(2)
    }
}

/// How a convolution is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Runs everywhere.
    Plain,
    /// What threads of a subgroup load is broadcast.
    Subgroup,
    /// By cooperative matrices, of numbers rounded to f16.
    Cooperative,
}

impl Variant {
    /// Every variant.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Subgroup, Self::Cooperative];

    /// Where it reads weights: a texture is one of [`texels`].
    pub fn home(self) -> Home {
        match self {
            Self::Plain | Self::Cooperative => Home::Buffer,
            Self::Subgroup => Home::Texture,
        }
    }

    /// Whether `context` can run it.
    pub fn available(self, context: &Context) -> bool {
        match self {
            Self::Plain => true,
            Self::Subgroup => linear::subgroup::lanes(context).is_some(),
            Self::Cooperative => cooperative::available(context),
        }
    }

    pub(crate) fn kernel(self) -> &'static Kernel {
        match self {
            Self::Plain => &KERNEL,
            Self::Subgroup => &subgroup::KERNEL,
            Self::Cooperative => &cooperative::KERNEL,
        }
    }
}

/// The size of a texture that holds w, of `taps` rows and `outputs` columns: rows of whole eights.
pub fn texels(taps: usize, outputs: usize) -> Texels {
    linear::texels(taps, outputs, Precision::F32)
}

/// Of [`Variant::Plain`]: one thread for 8 neighbouring pixels by two vec4s of output channels.
pub fn workgroups(params: &Params) -> [u32; 3] {
    let lines = params.images as usize * params.out_side as usize;
    grid((lines * params.out_side.div_ceil(8) as usize * params.outputs4.div_ceil(2) as usize).div_ceil(64))
}

/// Records one dispatch; with `relu`, what is negative becomes zero.
///
/// # Errors
/// [`Error::Shape`] when the kernel is larger than the padded image; [`Error::Device`] for cooperative matrices that the
/// device has not, [`Error::Shape`] for weights in another home than the variant's; else as [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    variant: Variant,
    params: Params,
    relu: bool,
    bindings: Bindings<'_>,
) -> Result<()> {
    params.check()?;
    let context = recorder.context();
    let mut types = Types::default().at(variant.home());
    let (mut constants, workgroups) = match variant {
        Variant::Plain => {
            let neighbours = params.kernel == 3 && params.stride == 1;
            (vec![("ROW3", f64::from(u8::from(neighbours)))], workgroups(&params))
        }
        Variant::Subgroup => (subgroup::constants(&params), subgroup::workgroups(context, &params)),
        Variant::Cooperative => {
            let shape = cooperative::Shape::on(context)?;
            types = types.tiled(shape.tile());
            (shape.constants(context, &params), shape.workgroups(&params))
        }
    };
    constants.push(("RELU", f64::from(u8::from(relu))));
    let columns = params.outputs4 as usize * 4;
    let w = match variant.home() {
        Home::Buffer => Operand::buffer(bindings.w.buffer(KERNEL.name)?, params.taps() * columns),
        Home::Texture if bindings.w.home() == Home::Texture => {
            bindings.w.operand(KERNEL.name, [1, params.taps(), columns.next_multiple_of(8)])?
        }
        Home::Texture => return Err(Error::shape(KERNEL.name, "weights in a texture", "weights in a buffer")),
    };
    recorder.dispatch_typed(
        variant.kernel(),
        types,
        &constants,
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.x, params.places(params.side, params.inputs)),
            w,
            Operand::buffer(bindings.bias, columns),
            Operand::buffer(bindings.y, params.places(params.out_side, params.outputs)),
        ],
        workgroups,
    )
}
