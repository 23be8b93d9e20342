//! The table of compiled pipelines, and the code that compiles a kernel.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::textures::FORMAT;
use super::{Access, Context, Form, Home, Kernel, PipelineKey, Types};
use crate::error::{Error, Result};

pub(crate) struct Pipeline {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
}

/// Pipelines by key. Each is compiled once for each context.
#[derive(Default)]
pub(crate) struct PipelineTable(Mutex<HashMap<PipelineKey, Entry>>);

struct Entry {
    pipeline: Arc<Pipeline>,
    /// How many dispatches were recorded with the pipeline.
    uses: usize,
}

impl PipelineTable {
    /// The pipeline of `kernel` in `form`, which has the key `key`.
    pub(crate) fn get(
        &self,
        context: &Context,
        kernel: &Kernel,
        form: &Form,
        key: &PipelineKey,
    ) -> Result<Arc<Pipeline>> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = table.get_mut(key) {
            entry.uses += 1;
            return Ok(entry.pipeline.clone());
        }
        let start = Instant::now();
        let pipeline = Arc::new(compile(context, kernel, form)?);
        tracing::debug!(%key, seconds = start.elapsed().as_secs_f64(), "compiled a pipeline");
        context.cache().changed();
        table.insert(key.clone(), Entry { pipeline: pipeline.clone(), uses: 1 });
        Ok(pipeline)
    }

    /// How many dispatches were recorded with the pipeline of `key`.
    pub(crate) fn uses(&self, key: &PipelineKey) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).map_or(0, |entry| entry.uses)
    }

    /// The keys of all compiled pipelines.
    pub(crate) fn keys(&self) -> Vec<PipelineKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

/// Refuses constants that `kernel` does not declare, values that it does not list, and overrides that do not have
/// exactly one value.
fn check_constants(kernel: &Kernel, form: &Form) -> Result<()> {
    let op = || format!("compile {}", kernel.shader);
    for &(name, value) in &form.constants {
        let declared = kernel.overrides.iter().find(|declared| declared.name == name);
        let declared = declared.ok_or_else(|| Error::config(op(), "overrides that the kernel declares", name))?;
        if !declared.values.contains(&value) {
            let expected = format!("{name} to be one of {:?}", declared.values);
            return Err(Error::config(op(), expected, value.to_string()));
        }
    }
    let given = |name| form.constants.iter().filter(|constant| constant.0 == name).count();
    match kernel.overrides.iter().find(|declared| given(declared.name) != 1) {
        Some(declared) => Err(Error::config(op(), format!("one value for {}", declared.name), "none or several")),
        None => Ok(()),
    }
}

fn compile(context: &Context, kernel: &Kernel, form: &Form) -> Result<Pipeline> {
    check_constants(kernel, form)?;
    let op = format!("compile {}", kernel.shader);
    let types = form.types;
    let constants: Vec<(&str, f64)> = form.constants.iter().map(|&(name, value)| (name, f64::from(value))).collect();
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
            format!("{} without it", context.info().name),
        ));
    }
    let source = context.shaders().compose(kernel.shader, types.packed(context.traits().packs_to_nearest))?;
    let device = context.device();
    let compiled = context.checked(&op, || {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(kernel.shader),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        };
        let module = match kernel.features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
            // SAFETY: the loops of these kernels end, and their indices into workgroup memory are in bounds. Tests
            // sweep over sizes at and around every edge. Buffers keep the driver's own checks. With naga's checks the
            // kernels take twice as long.
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
                constants: &constants,
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
    match (access, types.home) {
        (Access::read, _) | (Access::weights, Home::Buffer) => storage(true),
        (Access::write, _) => storage(false),
        (Access::texture, _) => wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: false },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        },
        (Access::weights, Home::Texture) => wgpu::BindingType::StorageTexture {
            access: wgpu::StorageTextureAccess::ReadOnly,
            format: FORMAT,
            view_dimension: wgpu::TextureViewDimension::D2Array,
        },
    }
}
