//! Convolution of images with bias and ReLU: the stem of LV-ViT.

use crate::error::{Error, Result};
use crate::gpu::{Form, Home, Matrix, Operand, Operation, Precision, Recorder, Texels, Way, grid, kernel};
use crate::kernels::linear;

pub mod cooperative;

kernel! {
    /// The plain kernel, which runs on every device.
    pub static KERNEL = "convolve" in "embed/convolve.wgsl";
    params {
        /// B
        images: u32,
        /// C, channels of x.
        inputs: u32,
        /// O, channels of y.
        outputs: u32,
        /// O / 4, rounded up.
        columns4: u32,
        /// S, pixels along the side of x.
        side: u32,
        /// K, pixels along the kernel's side.
        kernel: u32,
        /// Pixels from one place of the kernel to the next.
        stride: u32,
        /// Zeros on each side of x.
        padding: u32,
        /// U, pixels along the side of y.
        out_side: u32,
    }
    bindings { x: read, w: read, bias: read, y: write }
    overrides { RELU: [0, 1], ROW3: [0, 1] }
    workgroup [64, 1, 1];
    way of "convolve";
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

/// One convolution.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Sizes.
    pub params: Params,
    /// Whether negative results become zero.
    pub relu: bool,
    /// The precision of the network. Images, w and y are always f32. Cooperative matrices round them to f16, and are
    /// used only in f16 networks.
    pub precision: Precision,
    /// Where w lies.
    pub home: Home,
}

impl Operation for Call {
    const NAME: &'static str = "convolve";

    fn ways() -> &'static [Way<Self>] {
        WAYS
    }
}

static WAYS: &[Way<Call>] = &[
    cooperative::WAY,
    #[cfg(feature = "software")]
    super::cpu::convolve::WAY,
    Way {
        name: "plain",
        kernel: &KERNEL,
        is_fallback: true,
        takes: |_, call| call.home == Home::Buffer,
        cost: |_, _| Some(10.0),
        form: |_, call| {
            let neighbours = call.params.kernel == 3 && call.params.stride == 1;
            call.form(workgroups(&call.params)).with([("ROW3", u32::from(neighbours))])
        },
    },
];

impl Call {
    /// A form whose only constant is the one for ReLU.
    pub(super) fn form(&self, workgroups: [u32; 3]) -> Form {
        Form::plain(workgroups).with([("RELU", u32::from(self.relu))])
    }
}

/// The buffers, named as in the shaders.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, C, S, S]
    pub x: &'a wgpu::Buffer,
    /// [C, K, K, columns4 * 4], zero past `outputs`; a texture has the size [`texels`]
    pub w: Matrix<'a>,
    /// [columns4 * 4]
    pub bias: &'a wgpu::Buffer,
    /// [B, O, U, U]
    pub y: &'a wgpu::Buffer,
}

impl Window {
    /// U, pixels along the side of the result for an input of `side` pixels; 0 if the kernel is larger than the padded
    /// image.
    pub fn out_side(&self, side: usize) -> usize {
        (side + 2 * self.padding).checked_sub(self.kernel).map_or(0, |rest| rest / self.stride.max(1) + 1)
    }
}

impl Params {
    /// Sizes for `images` images with `inputs` channels and `side` pixels along a side, convolved to `outputs`
    /// channels.
    pub fn new(images: usize, [inputs, outputs]: [usize; 2], side: usize, window: Window) -> Self {
        Self {
            images: images as u32,
            inputs: inputs as u32,
            outputs: outputs as u32,
            columns4: outputs.div_ceil(4) as u32,
            side: side as u32,
            kernel: window.kernel as u32,
            stride: window.stride as u32,
            padding: window.padding as u32,
            out_side: window.out_side(side) as u32,
        }
    }

    /// The kernel's side, stride and padding.
    pub fn window(&self) -> Window {
        let [kernel, stride, padding] = [self.kernel, self.stride, self.padding].map(|n| n as usize);
        Window { kernel, stride, padding }
    }

    /// Checks that the kernel fits into the padded image.
    fn check(&self) -> Result<()> {
        if self.out_side > 0 {
            return Ok(());
        }
        let got = format!("{} pixels and {} zeros on each side", self.side, self.padding);
        Err(Error::shape(KERNEL.name, format!("room for a kernel of {} pixels", self.kernel), got))
    }

    /// C K K, the number of rows of w.
    fn taps(&self) -> usize {
        self.inputs as usize * (self.kernel as usize).pow(2)
    }

    fn places(&self, side: u32, channels: u32) -> usize {
        self.images as usize * channels as usize * (side as usize).pow(2)
    }
}

/// The size of a texture that holds w with `taps` rows and `outputs` columns. Rows are padded to whole groups of eight
/// numbers.
pub fn texels(taps: usize, outputs: usize) -> Texels {
    linear::texels(taps, outputs, Precision::F32)
}

/// The workgroups of the plain way: one thread for each 8 neighbouring pixels by two vec4s of output channels.
fn workgroups(params: &Params) -> [u32; 3] {
    let lines = params.images as usize * params.out_side as usize;
    grid((lines * params.out_side.div_ceil(8) as usize * params.columns4.div_ceil(2) as usize).div_ceil(64))
}

/// Records one dispatch.
///
/// # Errors
/// [`Error::Shape`] if the kernel is larger than the padded image; otherwise the errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, way: &Way<Call>, call: Call, bindings: Bindings<'_>) -> Result<()> {
    let params = call.params;
    params.check()?;
    let columns = params.columns4 as usize * 4;
    let w = match bindings.w {
        Matrix::Buffer(buffer) => Operand::buffer(buffer, params.taps() * columns),
        Matrix::Texture(_) => bindings.w.operand(KERNEL.name, [params.taps(), columns.next_multiple_of(8)])?,
    };
    let form = (way.form)(recorder.traits(), &call);
    let operands = [
        ("x", Operand::buffer(bindings.x, params.places(params.side, params.inputs))),
        ("w", w),
        ("bias", Operand::buffer(bindings.bias, columns)),
        ("y", Operand::buffer(bindings.y, params.places(params.out_side, params.outputs))),
    ];
    recorder.dispatch(way.kernel, &form, &params, &operands)
}
