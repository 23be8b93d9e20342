//! Describes a compute shader to Rust: its uniform, its bindings and its overrides, declared once by `kernel!`.
//! `tests/shaders.rs` compares every declaration with the WGSL by name, order and type.

use super::{Home, Types};

/// How a shader uses one binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "written as declarations of kernels read: `x: read`")]
pub enum Access {
    /// `var<storage, read>`
    read,
    /// `var<storage, read_write>`
    write,
    /// `texture_2d<f32>`, read with `textureLoad`
    texture,
    /// Weights: like [`Access::read`], or a `texture_storage_2d_array<rgba32uint, read>`, depending on [`Types::home`].
    weights,
}

impl Access {
    /// Whether the binding takes a texture, in kernels of `types`.
    pub(super) fn of_texture(self, types: Types) -> bool {
        match self {
            Self::read | Self::write => false,
            Self::texture => true,
            Self::weights => types.home == Home::Texture,
        }
    }
}

/// One binding: its name in the shader and how it is used. Bindings are numbered from 1 in the order of
/// [`Kernel::bindings`]; binding 0 is always the uniform `params`.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The variable's name in the shader.
    pub name: &'static str,
    /// How it is used.
    pub access: Access,
}

/// The type of a uniform's field. All have four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// `u32`
    Unsigned,
    /// `f32`
    Float,
}

/// A Rust type that stands for a [`FieldType`].
pub trait FieldOf {
    /// The type in WGSL.
    const TYPE: FieldType;
}

impl FieldOf for u32 {
    const TYPE: FieldType = FieldType::Unsigned;
}

impl FieldOf for f32 {
    const TYPE: FieldType = FieldType::Float;
}

/// One field of a uniform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, in Rust and in WGSL.
    pub name: &'static str,
    /// Its type.
    pub field_type: FieldType,
}

/// A shader's uniform. The crate's macro `kernel!` implements it.
pub trait Uniform: bytemuck::Pod {
    /// The fields, in order.
    const FIELDS: &'static [Field];
}

/// An `override` of a shader that gets its value from Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// Its name in the shader.
    pub name: &'static str,
    /// Every legal value. Booleans are 0 and 1.
    pub values: &'static [u32],
}

/// A compute shader as Rust declares it.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// The stem of the shader's file name.
    pub name: &'static str,
    /// Path below `shaders/`.
    pub shader: &'static str,
    /// Fields of the uniform at binding 0.
    pub fields: &'static [Field],
    /// The bindings, numbered from 1.
    pub bindings: &'static [Binding],
    /// Overrides. Every dispatch gives each of them a value.
    pub overrides: &'static [Override],
    /// Threads in a workgroup along x, y and z, unless an override sets them.
    pub workgroup_size: [u32; 3],
    /// Features that the kernel needs from a device.
    pub features: wgpu::Features,
    /// The operation that the kernel is a way of. The operation's reference, comparison and test have the same name.
    /// `None` if the operation has no other kernel.
    pub operation: Option<&'static str>,
}

impl Kernel {
    /// The stem of the reference, comparison and test.
    pub fn family(&self) -> &'static str {
        self.operation.unwrap_or(self.name)
    }
}

/// Declares a kernel: a `static` [`Kernel`] and, for the first kernel of an operation, the `Params` of its uniform.
///
/// ```text
/// kernel! {
///     /// Rows without their padding.
///     pub static KERNEL = "trim" in "head/trim.wgsl";
///     params { rows: u32, columns: u32, stride: u32, }   // or `params Params;` for a uniform declared elsewhere
///     bindings { padded: read, rows: write }             // or `bindings KERNEL;` for those of another kernel
///     overrides { GATHER: [0, 1] }                       // every legal value
///     workgroup [64, 1, 1];
///     features wgpu::Features::SUBGROUP;                 // if the kernel needs features
///     way of "softmax";                                  // if the kernel is one of several
/// }
/// ```
macro_rules! kernel {
    (
        $(#[$meta:meta])* $vis:vis static $KERNEL:ident = $name:literal in $shader:literal;
        params { $($(#[$field_meta:meta])* $field:ident: $kind:ident,)* }
        $($rest:tt)*
    ) => {
        /// The shader's uniform.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct Params { $($(#[$field_meta])* pub $field: $kind,)* }

        impl $crate::gpu::Uniform for Params {
            const FIELDS: &'static [$crate::gpu::Field] = &[$($crate::gpu::Field {
                name: stringify!($field),
                field_type: <$kind as $crate::gpu::FieldOf>::TYPE,
            }),*];
        }

        $crate::gpu::kernel! { $(#[$meta])* $vis static $KERNEL = $name in $shader; params Params; $($rest)* }
    };
    (
        $(#[$meta:meta])* $vis:vis static $KERNEL:ident = $name:literal in $shader:literal;
        params $Params:ty;
        bindings { $($binding:ident: $access:ident),* $(,)? }
        $($rest:tt)*
    ) => {
        $crate::gpu::kernel! { @kernel $(#[$meta])* $vis static $KERNEL = $name in $shader; params $Params;
            bindings (&[$($crate::gpu::Binding {
                name: stringify!($binding),
                access: $crate::gpu::Access::$access,
            }),*]);
            $($rest)* }
    };
    (
        $(#[$meta:meta])* $vis:vis static $KERNEL:ident = $name:literal in $shader:literal;
        params $Params:ty;
        bindings $other:ident;
        $($rest:tt)*
    ) => {
        $crate::gpu::kernel! { @kernel $(#[$meta])* $vis static $KERNEL = $name in $shader; params $Params;
            bindings ($other.bindings);
            $($rest)* }
    };
    (
        @kernel $(#[$meta:meta])* $vis:vis static $KERNEL:ident = $name:literal in $shader:literal;
        params $Params:ty;
        bindings ($bindings:expr);
        overrides { $($override:ident: $values:expr),* $(,)? }
        workgroup $workgroup:expr;
        $(features $features:expr;)?
        $(way of $operation:literal;)?
    ) => {
        $(#[$meta])*
        $vis static $KERNEL: $crate::gpu::Kernel = {
            #[allow(unused_mut, unused_assignments, reason = "a kernel may need no feature and be the only way")]
            let mut features = wgpu::Features::empty();
            $(features = $features;)?
            #[allow(unused_mut, unused_assignments, reason = "likewise")]
            let mut operation = None;
            $(operation = Some($operation);)?
            $crate::gpu::Kernel {
                name: $name,
                shader: $shader,
                fields: <$Params as $crate::gpu::Uniform>::FIELDS,
                bindings: $bindings,
                overrides: &[$($crate::gpu::Override { name: stringify!($override), values: &$values }),*],
                workgroup_size: $workgroup,
                features,
                operation,
            }
        };
    };
}
pub(crate) use kernel;
