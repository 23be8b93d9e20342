//! Attention in one kernel: softmax of scaled queries times keys, times values; the probabilities are never stored.

pub mod cooperative;

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};
use crate::gpu::{Binding, Kernel, Matrix, Operand, Precision, Recorder, Texels, Types, Variant, octet};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "attention",
    shader: "block/attention.wgsl",
    bindings: &[Binding::read("qkv"), Binding::read("sizes"), Binding::write("y"), Binding::write("rows")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The same in octets.
pub const SUBGROUP: Kernel = Kernel {
    name: "attention_subgroup",
    shader: "block/attention_subgroup.wgsl",
    bindings: &[
        Binding::read("qkv"),
        Binding::read("sizes"),
        Binding::write("y"),
        Binding::write("rows"),
        Binding::made("powers"),
        Binding::write("levels"),
    ],
    features: wgpu::Features::SUBGROUP,
    variant_of: Some("attention"),
    ..KERNEL
};

/// The widest head, Dh, that fits a thread's registers.
pub const WIDEST_HEAD: usize = 128;

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// T
    pub tokens: u32,
    /// H
    pub heads: u32,
    /// B
    pub images: u32,
    /// vec4s from one token of qkv to the next.
    pub row4: u32,
    /// vec4s from a token's queries to its keys.
    pub key_offset4: u32,
    /// vec4s from a token's queries to its values.
    pub value_offset4: u32,
    /// Dh / 4, at most a quarter of [`WIDEST_HEAD`].
    pub head4: u32,
    /// Factor of the dot products.
    pub scale: f32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, T, row4 * 4], of the input type.
    pub qkv: &'a wgpu::Buffer,
    /// [B, T], read with `proportional` only.
    pub sizes: &'a wgpu::Buffer,
    /// [B, T, H * Dh], of the output type.
    pub y: &'a wgpu::Buffer,
    /// [B, H, T, 2]: the row's largest logit and 1 / the sum of its powers, which is what makes P of logits. Not written
    /// where powers go into a texture, which has it too.
    pub rows: &'a wgpu::Buffer,
    /// Where powers go; written by octets with `emits` only.
    pub emission: Emission<'a>,
}

/// What a dispatch does beside attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Adds ln(size) of the key to the logits.
    pub proportional: bool,
    /// Leaves what probabilities can be made of. In octets only.
    pub emits: bool,
}

/// What probabilities can be made of afterwards: p = power * exp(level - largest logit of the row) / sum of its powers.
#[derive(Clone, Copy)]
pub struct Emission<'a> {
    /// [B, H, T, T rounded up to 8], of the output type.
    pub powers: Matrix<'a>,
    /// The largest logit of a row up to the end of each 32 keys [B, H, chunks, T].
    pub levels: &'a wgpu::Buffer,
}

impl Emission<'_> {
    /// Words of either buffer where nothing is emitted.
    pub const UNUSED: usize = 4;

    /// Powers of one head of one image.
    pub const fn powers_len(tokens: usize) -> usize {
        tokens * Self::powers_stride(tokens)
    }

    /// Powers from one query to the next: they are read eight at a time.
    pub const fn powers_stride(tokens: usize) -> usize {
        tokens.next_multiple_of(8)
    }

    /// The size of a texture that holds powers of `images` images in `precision`: a row for every query of every head, and
    /// in a last texel the two numbers of [`Bindings::rows`].
    pub fn texels([images, heads, tokens]: [usize; 3], precision: Precision) -> Texels {
        let words = precision.words(Self::powers_stride(tokens));
        [(words / 4 + 1) as u32, (heads * tokens) as u32, images as u32]
    }

    /// What a kernel binds of its powers.
    pub(super) fn operand(
        &self,
        kernel: &str,
        [images, heads, tokens]: [usize; 3],
        precision: Precision,
    ) -> Result<Operand<'_>> {
        let rows_too = self.powers.home().of(0, 4);
        let words = precision.words(Self::powers_stride(tokens)) + rows_too;
        self.powers.operand(kernel, [images, heads * tokens, words])
    }

    /// Levels of one head of one image.
    pub const fn levels_len(tokens: usize) -> usize {
        tokens.div_ceil(32) * tokens
    }
}

/// Plain: 32 queries to a workgroup, for each head and image. In octets: as many as `octet::groups` says.
pub fn workgroups(params: &Params, variant: Variant) -> [u32; 3] {
    let tokens = params.tokens as usize;
    match variant {
        Variant::Plain => [params.tokens.div_ceil(32), params.heads, params.images],
        Variant::Subgroup => {
            let tiles = tokens.div_ceil(8 * octet::groups(tokens));
            octet::workgroups(tiles * params.heads as usize * params.images as usize)
        }
    }
}

/// Records one dispatch.
///
/// # Errors
/// [`Error::Limit`] for heads wider than [`WIDEST_HEAD`], [`Error::Config`] for powers of the plain variant, else as [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    variant: Variant,
    types: Types,
    params: Params,
    form: Form,
    bindings: Bindings<'_>,
) -> Result<()> {
    if params.head4 as usize * 4 > WIDEST_HEAD {
        let got = format!("{} dimensions", params.head4 * 4);
        return Err(Error::limit(KERNEL.name, format!("heads of at most {WIDEST_HEAD} dimensions"), got));
    }
    if form.emits && variant == Variant::Plain {
        return Err(Error::config(KERNEL.name, "octets, to emit powers", "the plain variant"));
    }
    let (heads, tokens) = (params.heads as usize, params.tokens as usize);
    let (each, all) = (params.images as usize * heads, params.images as usize * tokens);
    let mut constants = vec![
        ("PROPORTIONAL", f64::from(u8::from(form.proportional))),
        ("COLUMNS", f64::from(params.head4.div_ceil(8))),
    ];
    let mut operands = vec![
        Operand::buffer(bindings.qkv, types.input.words(all * params.row4 as usize * 4)),
        Operand::buffer(bindings.sizes, all),
        Operand::buffer(bindings.y, types.output.words(all * heads * params.head4 as usize * 4)),
        Operand::buffer(bindings.rows, all * heads * 2),
    ];
    let kernel = match variant {
        Variant::Plain => &KERNEL,
        Variant::Subgroup => {
            constants.push(("GROUPS", octet::groups(tokens) as f64));
            constants.push(("EMITS", f64::from(u8::from(form.emits))));
            // Bound in either case, because the shader names them, as one vec4 at least.
            let emission = &bindings.emission;
            let (powers, levels) = match form.emits {
                true => {
                    let size = [params.images as usize, heads, tokens];
                    (emission.operand(KERNEL.name, size, types.output)?, each * Emission::levels_len(tokens))
                }
                false => (emission.powers.operand(KERNEL.name, [1, 1, Emission::UNUSED])?, Emission::UNUSED),
            };
            operands.extend([powers, Operand::buffer(emission.levels, levels)]);
            &SUBGROUP
        }
    };
    recorder.dispatch_typed(
        kernel,
        types.at(bindings.emission.powers.home()),
        &constants,
        bytemuck::bytes_of(&params),
        &operands,
        workgroups(&params, variant),
    )
}
