//! Eq. 11, connectivity against dominance, and which tokens stay by it.

use bytemuck::{Pod, Zeroable};

use super::attention_connectivity::strips;
use super::attention_powers::Layout;
use super::top_k::MOST_PATCHES;
use crate::condensation::Chain;
use crate::error::{Error, Result};
use crate::gpu::{Binding, Kernel, Matrix, Operand, Recorder, Types, Variant, octet};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "score",
    shader: "condense/score.wgsl",
    bindings: &[
        Binding::read("w"),
        Binding::read("column_sums"),
        Binding::read("dominance"),
        Binding::write("score"),
        Binding::write("order"),
        Binding::write("slot"),
    ],
    params_size: size_of::<Params>(),
    workgroup_size: [256, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The same in octets.
pub const SUBGROUP: Kernel = Kernel {
    name: "score_subgroup",
    shader: "condense/score_subgroup.wgsl",
    bindings: &[
        Binding::matrix("w"),
        Binding::read("column_sums"),
        Binding::read("dominance"),
        Binding::write("score"),
        Binding::write("order"),
        Binding::write("slot"),
    ],
    features: wgpu::Features::SUBGROUP,
    variant_of: Some("score"),
    workgroup_size: octet::WORKGROUP,
    ..KERNEL
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// N, at most [`MOST_PATCHES`].
    pub patches: u32,
    /// N - R
    pub kept: u32,
    /// Rows of column sums of an image; N where the matrix itself stands in for its sums.
    pub strips: u32,
    /// b
    pub beta: f32,
    /// Factor that restores the true c; immaterial when it is normalised.
    pub scale: f32,
    /// a / s, s = max(a, 1).
    pub ratio: f32,
    /// 1 / s.
    pub inverse: f32,
    /// Elements from one row of W, or of its columns' sums, to the next.
    pub stride: u32,
    /// Elements before a row's first column.
    pub shift: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// Where c comes from.
    pub connectivity: Connectivity<'a>,
    /// D [B, N]
    pub dominance: &'a wgpu::Buffer,
    /// S [B, N]
    pub score: &'a wgpu::Buffer,
    /// [B, N]: kept tokens, then dropped ones, each in ascending order
    pub order: &'a wgpu::Buffer,
    /// [B, N]: place among the kept, or [`DROPPED`](super::top_k::DROPPED)
    pub slot: &'a wgpu::Buffer,
}

/// Where c, the mean over rows of C, comes from.
#[derive(Clone, Copy)]
pub enum Connectivity<'a> {
    /// c itself [B, N]; not read where it does not count.
    Mean(&'a wgpu::Buffer),
    /// For C = W, from sums of W's columns.
    First {
        /// [B, strips, N] in the layout of [`Params::laid_out`], from `attention_connectivity`, or W
        column_sums: &'a wgpu::Buffer,
        /// W [B, N, N] where it lies in a texture: then it is read, not its sums
        w: Option<&'a wgpu::TextureView>,
    },
    /// For C = W + a W^2, from sums of W's columns and W.
    Second {
        /// [B, strips, N], likewise; not read with W in a texture
        column_sums: &'a wgpu::Buffer,
        /// [B, N, N], likewise; in a texture for octets only
        w: Matrix<'a>,
    },
}

/// Which terms count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether c is divided by its own sum.
    pub normalise: bool,
    /// Whether -c counts.
    pub connectivity: bool,
    /// Whether D counts, times b where c counts too.
    pub dominance: bool,
}

impl Params {
    /// For keeping `kept` of `patches` by a C that follows from W by `chain`. W is packed.
    pub fn new(patches: usize, kept: usize, beta: f32, chain: Chain) -> Self {
        let scale = chain.alpha.max(1.0);
        Self {
            patches: patches as u32,
            kept: kept as u32,
            strips: strips(patches) as u32,
            beta,
            scale: chain.scale(),
            ratio: chain.alpha / scale,
            inverse: 1.0 / scale,
            stride: patches as u32,
            shift: 0,
        }
    }

    /// The same for a W, and for sums of its columns, that lie as `layout` says.
    pub fn laid_out(self, layout: Layout) -> Self {
        Self { stride: layout.stride, shift: layout.shift, ..self }
    }
}

/// One workgroup for each image.
pub fn workgroups(images: u32) -> [u32; 3] {
    [images, 1, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// [`Error::Limit`] past [`MOST_PATCHES`], else as [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    variant: Variant,
    params: Params,
    images: u32,
    terms: Terms,
    bindings: Bindings<'_>,
) -> Result<()> {
    let patches = params.patches as usize;
    if patches > MOST_PATCHES {
        return Err(Error::limit("score", format!("at most {MOST_PATCHES} patch tokens"), patches.to_string()));
    }
    let elements = images as usize * patches;
    let stride = params.stride as usize;
    let sums = images as usize * params.strips as usize * stride;
    // What a variant does not read is bound all the same: a vec4 of something.
    let (order, column_sums, w) = match bindings.connectivity {
        Connectivity::Mean(c) => (0, Operand::buffer(c, elements), (Matrix::Buffer(c), [1, 1, 4])),
        Connectivity::First { column_sums, w } => {
            let unread = (Matrix::Buffer(column_sums), [1, 1, 4]);
            let w = w.map_or(unread, |view| (Matrix::Texture(view), [images as usize, patches, stride]));
            (1, Operand::buffer(column_sums, sums), w)
        }
        Connectivity::Second { column_sums, w } => {
            (2, Operand::buffer(column_sums, sums), (w, [images as usize, patches, stride]))
        }
    };
    let (w, size) = w;
    let flag = |on: bool| f64::from(u8::from(on));
    let listed = |buffer| Operand::buffer(buffer, elements);
    let mut constants = vec![
        ("ORDER", f64::from(order)),
        ("NORMALISE", flag(terms.normalise)),
        ("CONNECTIVITY", flag(terms.connectivity)),
        ("DOMINANCE", flag(terms.dominance)),
    ];
    let kernel = match variant {
        Variant::Plain => &KERNEL,
        Variant::Subgroup => {
            constants.extend(octet::threads_of_an_image(recorder.context()));
            let whole = flag(stride.is_multiple_of(4));
            constants.extend([("ALIGNED", whole), ("WHOLE", whole)]);
            &SUBGROUP
        }
    };
    recorder.dispatch_typed(
        kernel,
        Types::default().at(w.home()),
        &constants,
        bytemuck::bytes_of(&params),
        &[
            w.operand(KERNEL.name, size)?,
            column_sums,
            listed(bindings.dominance),
            listed(bindings.score),
            listed(bindings.order),
            listed(bindings.slot),
        ],
        workgroups(images),
    )
}
