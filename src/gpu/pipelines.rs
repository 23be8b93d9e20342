//! What a kernel is to the device, and the table of those already compiled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::textures::FORMAT;
use super::{Context, Home, Types};
use crate::error::{Error, Result};

/// How a shader uses one binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `var<storage, read>`
    Read,
    /// `var<storage, read_write>`
    Write,
    /// `texture_2d<f32>`, read with `textureLoad`
    Texture,
    /// A matrix that is read: as [`Access::Read`], or `texture_storage_2d_array<rgba32uint, read>`, by [`Types::home`].
    Matrix,
    /// A matrix that is written: as [`Access::Write`], or `texture_storage_2d_array<rgba32uint, write>`.
    Made,
}

impl Access {
    /// Whether a texture is bound, for kernels of `types`.
    pub(super) fn of_texture(self, types: Types) -> bool {
        match self {
            Self::Read | Self::Write => false,
            Self::Texture => true,
            Self::Matrix | Self::Made => types.home == Home::Texture,
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

/// A compute shader as Rust sees it. `tests/shaders.rs` checks every field against the WGSL.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// The stem that shader, kernel, twin and test share.
    pub name: &'static str,
    /// Path below `shaders/`.
    pub shader: &'static str,
    /// Bindings 1 and up.
    pub bindings: &'static [Binding],
    /// Size in bytes of the uniform at binding 0.
    pub params_size: usize,
    /// Threads in a workgroup.
    pub workgroup_size: [u32; 3],
    /// What a device must have for it, beyond what every device has.
    pub features: wgpu::Features,
    /// The kernel that computes the same, plainly, where this is another way to do it: twin, check and test are under
    /// that one's stem.
    pub variant_of: Option<&'static str>,
}

impl Kernel {
    /// The stem of twin, check and test.
    pub fn family(&self) -> &'static str {
        self.variant_of.unwrap_or(self.name)
    }
}

/// Short forms for the tables in `kernels/`.
impl Binding {
    pub(crate) const fn read(name: &'static str) -> Self {
        Self { name, access: Access::Read }
    }

    pub(crate) const fn write(name: &'static str) -> Self {
        Self { name, access: Access::Write }
    }

    pub(crate) const fn texture(name: &'static str) -> Self {
        Self { name, access: Access::Texture }
    }

    pub(crate) const fn matrix(name: &'static str) -> Self {
        Self { name, access: Access::Matrix }
    }

    pub(crate) const fn made(name: &'static str) -> Self {
        Self { name, access: Access::Made }
    }
}

/// Values for a shader's `override` declarations.
pub(crate) type Constants = [(&'static str, f64)];

pub(crate) struct Pipeline {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
}

type Key = (&'static str, Types, Vec<(&'static str, u64)>);

/// Pipelines by kernel, types and constants: each is compiled once per context.
#[derive(Default)]
pub(crate) struct PipelineTable(Mutex<HashMap<Key, Arc<Pipeline>>>);

impl PipelineTable {
    pub(crate) fn get(
        &self,
        context: &Context,
        kernel: &Kernel,
        types: Types,
        constants: &Constants,
    ) -> Result<Arc<Pipeline>> {
        let key = (kernel.name, types, constants.iter().map(|&(name, value)| (name, value.to_bits())).collect());
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = table.get(&key) {
            return Ok(pipeline.clone());
        }
        let start = Instant::now();
        let pipeline = Arc::new(compile(context, kernel, types, constants)?);
        let (kernel, seconds) = (kernel.name, start.elapsed().as_secs_f64());
        tracing::debug!(kernel, ?types, ?constants, seconds, "compiled");
        context.cache().changed();
        table.insert(key, pipeline.clone());
        Ok(pipeline)
    }
}

fn compile(context: &Context, kernel: &Kernel, types: Types, constants: &Constants) -> Result<Pipeline> {
    let op = format!("compile {}", kernel.shader);
    let limits = context.limits();
    let invocations: u32 = kernel.workgroup_size.iter().product();
    if invocations > limits.max_compute_invocations_per_workgroup
        || kernel.workgroup_size[0] > limits.max_compute_workgroup_size_x
    {
        return Err(Error::limit(
            op,
            format!("workgroups of {invocations} threads"),
            format!("at most {} on {}", limits.max_compute_invocations_per_workgroup, context.info().name),
        ));
    }
    let missing = kernel.features - context.device().features();
    if !missing.is_empty() {
        return Err(Error::shader(
            op,
            format!("a device with {missing:?}"),
            format!("{} without", context.info().name),
        ));
    }
    let source = context.shaders().compose(kernel.shader, types.packed(context.packs_to_nearest()))?;
    let device = context.device();
    let compiled = context.checked(&op, || {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(kernel.shader),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        };
        let module = match kernel.features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
            // SAFETY: their loops end, and what they index in workgroup memory is in bounds, which sweeps over sizes at and
            // around every edge cover; buffers keep the driver's own checks. With naga's the kernels take twice as long.
            true => unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) },
            false => device.create_shader_module(descriptor),
        };
        let entries: Vec<wgpu::BindGroupLayoutEntry> = std::iter::once(entry(0, uniform()))
            .chain(
                kernel
                    .bindings
                    .iter()
                    .zip(1..)
                    .map(|(binding, number)| entry(number, binding_type(binding.access, types))),
            )
            .collect();
        let layout = device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(kernel.name), entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(kernel.name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(kernel.name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                // Every shader writes its workgroup variables before it reads them.
                zero_initialize_workgroup_memory: false,
            },
            cache: context.cache().raw(),
        });
        Ok(Pipeline { pipeline, layout })
    });
    compiled.map_err(|error| match error {
        Error::Device { op, got, .. } if context.healthy("").is_ok() => {
            Error::shader(op, "a shader that the driver accepts", got)
        }
        other => other,
    })
}

fn entry(binding: u32, ty: wgpu::BindingType) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry { binding, visibility: wgpu::ShaderStages::COMPUTE, ty, count: None }
}

fn uniform() -> wgpu::BindingType {
    wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Uniform,
        has_dynamic_offset: false,
        min_binding_size: None,
    }
}

fn binding_type(access: Access, types: Types) -> wgpu::BindingType {
    let storage = |read_only| wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Storage { read_only },
        has_dynamic_offset: false,
        min_binding_size: None,
    };
    let layers = |access| wgpu::BindingType::StorageTexture {
        access,
        format: FORMAT,
        view_dimension: wgpu::TextureViewDimension::D2Array,
    };
    match (access, types.home) {
        (Access::Read, _) | (Access::Matrix, Home::Buffer) => storage(true),
        (Access::Write, _) | (Access::Made, Home::Buffer) => storage(false),
        (Access::Texture, _) => wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: false },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        },
        (Access::Matrix, Home::Texture) => layers(wgpu::StorageTextureAccess::ReadOnly),
        (Access::Made, Home::Texture) => layers(wgpu::StorageTextureAccess::WriteOnly),
    }
}
