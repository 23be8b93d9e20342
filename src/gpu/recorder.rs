//! Records dispatches and runs them later: a [`Recorder`] collects dispatches, a [`Recording`] replays them into any
//! encoder.

use std::sync::Arc;

use super::pipelines::Pipeline;
use super::recording::{Recording, Section, Step, label};
use super::{Context, Form, Kernel, PipelineKey, Traits, Types, Uniform};
use crate::error::{Error, Result};

/// A buffer or texture that a dispatch binds.
#[derive(Clone, Copy)]
pub enum Operand<'a> {
    /// The first `len` 4-byte elements of a buffer.
    Buffer {
        /// The buffer.
        buffer: &'a wgpu::Buffer,
        /// How many 4-byte elements of the buffer are bound.
        len: usize,
    },
    /// A texture to load from.
    Texture(&'a wgpu::TextureView),
}

impl<'a> Operand<'a> {
    /// The first `len` 4-byte elements of `buffer`.
    pub fn buffer(buffer: &'a wgpu::Buffer, len: usize) -> Self {
        Self::Buffer { buffer, len }
    }
}

enum Bound {
    Buffer(wgpu::Buffer, u64),
    Texture(wgpu::TextureView),
}

struct Dispatch {
    section: Section,
    key: PipelineKey,
    pipeline: Arc<Pipeline>,
    params: std::ops::Range<u64>,
    bound: Vec<Bound>,
    workgroups: [u32; 3],
}

/// Collects dispatches. It compiles pipelines when they are first needed, checks the size of every buffer, and
/// allocates nothing on the device until [`Recorder::finish`].
pub struct Recorder<'c> {
    context: &'c Context,
    section: Section,
    verified_only: bool,
    params: Vec<u8>,
    dispatches: Vec<Dispatch>,
}

impl<'c> Recorder<'c> {
    /// An empty recorder for `context` that takes any pipeline. Verifications and measurements use it.
    pub fn new(context: &'c Context) -> Self {
        Self { context, section: Section::default(), verified_only: false, params: Vec::new(), dispatches: Vec::new() }
    }

    /// An empty recorder for sessions. If a kernel is a way of an operation, the recorder takes only a pipeline that is
    /// verified on this device or belongs to a fallback.
    pub(crate) fn of_verified(context: &'c Context) -> Self {
        Self { verified_only: true, ..Self::new(context) }
    }

    /// The context that the dispatches are recorded for.
    pub fn context(&self) -> &'c Context {
        self.context
    }

    /// The traits of the device, by which kernels are chosen.
    pub fn traits(&self) -> &'c Traits {
        self.context.traits()
    }

    /// Names the part of the network that the following dispatches belong to, for profiles and debuggers.
    pub fn section(&mut self, stage: &'static str, block: Option<usize>) {
        self.section = Section { stage, block };
    }

    /// Adds one dispatch of `kernel` in `form`. `params` is the uniform at binding 0. `operands` are given by the names
    /// of the shader's bindings, in any order. Operands that `kernel` does not bind are ignored.
    ///
    /// # Errors
    /// [`Error::Shape`] when an operand is missing or its buffer is too short, [`Error::Limit`] for too many workgroups
    /// or too large a binding, [`Error::Shader`] when the kernel does not compile on this device, [`Error::Config`] for
    /// constants that it does not declare.
    pub fn dispatch<P: Uniform>(
        &mut self,
        kernel: &Kernel,
        form: &Form,
        params: &P,
        operands: &[(&str, Operand<'_>)],
    ) -> Result<()> {
        if kernel.fields != P::FIELDS {
            return Err(Error::shape(kernel.name, "the kernel's own uniform", std::any::type_name::<P>()));
        }
        let operands = of_bindings(kernel, operands)?;
        check_operands(self.context, kernel, form.types, &operands)?;
        let most = self.context.limits().max_compute_workgroups_per_dimension;
        if form.workgroups.iter().any(|&count| count > most) {
            return Err(Error::limit(
                kernel.name,
                format!("at most {most} workgroups per dimension on {}", self.context.info().name),
                format!("{:?}; use a smaller batch", form.workgroups),
            ));
        }
        if form.workgroups.contains(&0) {
            return Ok(());
        }
        let key = PipelineKey::new(kernel, form);
        if self.verified_only && kernel.operation.is_some() && !self.context.may_run(&key) {
            return Err(Error::shader(kernel.name, "a pipeline that is verified on this device", key.to_string()));
        }
        let pipeline = self.context.pipelines().get(self.context, kernel, form, &key)?;
        let start = self.params.len() as u64;
        self.params.extend_from_slice(bytemuck::bytes_of(params));
        let range = start..self.params.len() as u64;
        let alignment = self.context.limits().min_uniform_buffer_offset_alignment.max(4) as usize;
        self.params.resize(self.params.len().next_multiple_of(alignment), 0);
        let bound = operands
            .iter()
            .map(|operand| match *operand {
                Operand::Buffer { buffer, len } => Bound::Buffer(buffer.clone(), self.bound_bytes(buffer, len)),
                Operand::Texture(view) => Bound::Texture(view.clone()),
            })
            .collect();
        self.dispatches.push(Dispatch {
            section: self.section,
            key,
            pipeline,
            params: range,
            bound,
            workgroups: form.workgroups,
        });
        Ok(())
    }

    /// Bytes that are bound of a buffer with `len` elements. They reach to the end of a vec4 if the buffer is that
    /// long, since a shader may read it as vec4s and must find the last elements too.
    fn bound_bytes(&self, buffer: &wgpu::Buffer, len: usize) -> u64 {
        (len as u64 * 4).next_multiple_of(16).min(buffer.size()).min(self.context.max_binding())
    }

    /// Uploads all parameters in one uniform buffer, creates the bind groups, and returns the recording.
    ///
    /// # Errors
    /// [`Error::Device`] when the device refuses a bind group or is lost.
    pub fn finish(self) -> Result<Recording> {
        let Self { context, params, dispatches, .. } = self;
        let device = context.device();
        context.checked("finish recording", || {
            let uniforms = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("params"),
                size: params.len().max(4) as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            if !params.is_empty() {
                context.queue().write_buffer(&uniforms, 0, &params);
            }
            let steps = dispatches.into_iter().map(|dispatch| step(device, &uniforms, dispatch)).collect();
            Ok(Recording { steps })
        })
    }
}

fn step(device: &wgpu::Device, uniforms: &wgpu::Buffer, dispatch: Dispatch) -> Step {
    let range = |buffer, offset, size| {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(size) })
    };
    let params = range(uniforms, dispatch.params.start, dispatch.params.end - dispatch.params.start);
    let operands = dispatch.bound.iter().map(|bound| match bound {
        Bound::Buffer(buffer, size) => range(buffer, 0, *size),
        Bound::Texture(view) => wgpu::BindingResource::TextureView(view),
    });
    let entries: Vec<wgpu::BindGroupEntry<'_>> = std::iter::once(params)
        .chain(operands)
        .zip(0..)
        .map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource })
        .collect();
    let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(&label(dispatch.section, &dispatch.key)),
        layout: &dispatch.pipeline.layout,
        entries: &entries,
    });
    let Dispatch { section, key, pipeline, workgroups, .. } = dispatch;
    Step { section, key, pipeline, bind_group, workgroups }
}

/// The operands that `kernel` binds, in the order of its bindings.
fn of_bindings<'a>(kernel: &Kernel, operands: &[(&str, Operand<'a>)]) -> Result<Vec<Operand<'a>>> {
    let find = |name: &str| operands.iter().find(|operand| operand.0 == name).map(|operand| operand.1);
    let missing = |name: &str| {
        let given: Vec<&str> = operands.iter().map(|operand| operand.0).collect();
        Error::shape(kernel.name, format!("an operand for the binding {name}"), given.join(", "))
    };
    kernel.bindings.iter().map(|binding| find(binding.name).ok_or_else(|| missing(binding.name))).collect()
}

fn check_operands(context: &Context, kernel: &Kernel, types: Types, operands: &[Operand<'_>]) -> Result<()> {
    for (binding, operand) in kernel.bindings.iter().zip(operands) {
        match (binding.access.of_texture(types), operand) {
            (false, &Operand::Buffer { buffer, len }) => {
                let (needed, limit) = (len as u64 * 4, context.max_binding());
                let is_short = needed > buffer.size() && !context.rehearses();
                if is_short || needed == 0 {
                    return Err(Error::shape(
                        format!("{}: {}", kernel.name, binding.name),
                        format!("a buffer of at least {} bytes", needed.max(4)),
                        format!("{} bytes", buffer.size()),
                    ));
                }
                if needed > limit {
                    return Err(Error::limit(
                        format!("{}: {}", kernel.name, binding.name),
                        format!("at most {limit} bytes in one binding on {}", context.info().name),
                        format!("{needed} bytes; use a smaller batch"),
                    ));
                }
            }
            (true, Operand::Texture(_)) => {}
            (texture, _) => {
                let op = format!("{}: {}", kernel.name, binding.name);
                let (expected, got) = if texture { ("a texture", "a buffer") } else { ("a buffer", "a texture") };
                return Err(Error::shape(op, expected, got));
            }
        }
    }
    Ok(())
}

/// The workgroup counts for `count` workgroups in a row. They continue in y if x would exceed 65,535, which every
/// adapter allows. `shared/grid.wgsl` computes the number of a workgroup from them.
pub fn grid(count: usize) -> [u32; 3] {
    const MOST: usize = 65_535;
    [count.min(MOST) as u32, count.div_ceil(MOST) as u32, 1]
}
