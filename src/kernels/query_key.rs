//! Scaled dot products of queries and keys: attention logits, and cosines of unit keys.

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};
use crate::gpu::{Binding, Home, Kernel, Matrix, Operand, Precision, Recorder, Types, Variant, octet};

pub mod cooperative;

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "query_key",
    shader: "block/query_key.wgsl",
    bindings: &[Binding::read("x"), Binding::read("sizes"), Binding::write("y")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The same in octets.
pub const SUBGROUP: Kernel = Kernel {
    name: "query_key_subgroup",
    shader: "block/query_key_subgroup.wgsl",
    bindings: &[Binding::matrix("x"), Binding::read("sizes"), Binding::write("y")],
    features: wgpu::Features::SUBGROUP,
    variant_of: Some("query_key"),
    ..KERNEL
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// T, queries and keys alike.
    pub tokens: u32,
    /// H
    pub heads: u32,
    /// vec4s from one token of x to the next.
    pub row4: u32,
    /// vec4s from a token's queries to its keys.
    pub key_offset4: u32,
    /// Dh / 4
    pub head4: u32,
    /// Elements of a row of y, at least T.
    pub stride: u32,
    /// Factor of the dot products.
    pub scale: f32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, T, row4 * 4], of the input type; in a texture unit rows of f32 only, which the plain kernel does not read
    pub x: Matrix<'a>,
    /// [B, T], read with [`Products::ProportionalLogits`] only
    pub sizes: &'a wgpu::Buffer,
    /// [B, H, T, stride]
    pub y: &'a wgpu::Buffer,
}

/// What the products are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Products {
    /// Attention logits.
    Logits,
    /// Attention logits plus ln(size) of the key.
    ProportionalLogits,
    /// Cosines of unit rows that are queries and keys at once (`key_offset4` 0): half of them are made.
    Cosines,
}

/// One thread for 4 queries by 4 keys, or one octet for `octet::groups` of 8 by 32, for each head and image.
pub fn workgroups(params: &Params, images: u32, variant: Variant) -> [u32; 3] {
    let tokens = params.tokens;
    let count = match variant {
        Variant::Plain => tokens.div_ceil(4).pow(2).div_ceil(64),
        Variant::Subgroup => {
            (tokens.div_ceil(8 * octet::groups(tokens as usize) as u32) * tokens.div_ceil(32)).div_ceil(8)
        }
    };
    [count, params.heads, images]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// As [`Recorder::dispatch`]; [`Error::Config`] for rows in a texture that are for something else.
pub fn record(
    recorder: &mut Recorder<'_>,
    variant: Variant,
    types: Types,
    params: Params,
    images: u32,
    products: Products,
    bindings: Bindings<'_>,
) -> Result<()> {
    let rows = images as usize * params.tokens as usize;
    let flag = |name, on| (name, f64::from(u8::from(on)));
    let mut constants = vec![
        flag("PROPORTIONAL", products == Products::ProportionalLogits),
        flag("SYMMETRIC", products == Products::Cosines),
    ];
    let kernel = match variant {
        Variant::Plain => &KERNEL,
        Variant::Subgroup => {
            constants.push(("GROUPS", octet::groups(params.tokens as usize) as f64));
            &SUBGROUP
        }
    };
    let home = bindings.x.home();
    if home == Home::Texture
        && (variant, products, types.input) != (Variant::Subgroup, Products::Cosines, Precision::F32)
    {
        let got = format!("{products:?} of {} by {variant:?}", types.input);
        return Err(Error::config(kernel.name, "cosines of f32 by subgroups, of rows in a texture", got));
    }
    let width = params.row4 as usize * 4;
    let x = match bindings.x {
        Matrix::Buffer(buffer) => Operand::buffer(buffer, types.input.words(rows * width)),
        Matrix::Texture(_) => bindings.x.operand(kernel.name, [images as usize, params.tokens as usize, width])?,
    };
    recorder.dispatch_typed(
        kernel,
        types.at(home),
        &constants,
        bytemuck::bytes_of(&params),
        &[
            x,
            Operand::buffer(bindings.sizes, rows),
            Operand::buffer(bindings.y, rows * params.heads as usize * params.stride as usize),
        ],
        workgroups(&params, images, variant),
    )
}
