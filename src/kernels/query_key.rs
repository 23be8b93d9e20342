//! Scaled dot products of queries and keys: attention logits, and cosines of unit keys.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder};

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
    /// [B, T, row4 * 4]
    pub x: &'a wgpu::Buffer,
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

/// One thread for 4 queries by 4 keys, for each head and image.
pub fn workgroups(params: &Params, images: u32) -> [u32; 3] {
    [params.tokens.div_ceil(4).pow(2).div_ceil(64), params.heads, images]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    params: Params,
    images: u32,
    products: Products,
    bindings: Bindings<'_>,
) -> Result<()> {
    let rows = images as usize * params.tokens as usize;
    recorder.dispatch(
        &KERNEL,
        &[
            ("PROPORTIONAL", f64::from(u8::from(products == Products::ProportionalLogits))),
            ("SYMMETRIC", f64::from(u8::from(products == Products::Cosines))),
        ],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.x, rows * params.row4 as usize * 4),
            Operand::buffer(bindings.sizes, rows),
            Operand::buffer(bindings.y, rows * params.heads as usize * params.stride as usize),
        ],
        workgroups(&params, images),
    )
}
