//! A fixed list of dispatches, which can be replayed.

use std::fmt;
use std::sync::Arc;

use super::pipelines::Pipeline;
use super::{Context, PipelineKey};
use crate::error::Result;

/// The part of a network that dispatches belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Section {
    /// The stage: `input`, `embed`, `block`, `condense` or `head` in a forward. It is empty outside a forward.
    pub stage: &'static str,
    /// The block, counted from 0, if the stage belongs to a block.
    pub block: Option<usize>,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.block {
            Some(block) => write!(f, "{}.{block}", self.stage),
            None => f.write_str(self.stage),
        }
    }
}

pub(super) struct Step {
    pub(super) section: Section,
    pub(super) key: PipelineKey,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) bind_group: wgpu::BindGroup,
    pub(super) workgroups: [u32; 3],
}

impl Step {
    /// The label of the dispatch in debuggers.
    pub(super) fn label(&self) -> String {
        label(self.section, &self.key)
    }

    /// The section of the dispatch, and its kernel's name.
    pub(super) fn place(&self) -> (Section, &'static str) {
        (self.section, self.key.kernel())
    }

    pub(super) fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        self.encode_sized(pass, self.workgroups);
    }

    fn encode_sized(&self, pass: &mut wgpu::ComputePass<'_>, [x, y, z]: [u32; 3]) {
        pass.set_pipeline(&self.pipeline.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

/// A fixed list of dispatches with everything bound. Replaying it allocates nothing on the device.
pub struct Recording {
    pub(super) steps: Vec<Step>,
}

impl Recording {
    /// Encodes the dispatches into `encoder`, in one compute pass.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for step in &self.steps {
            step.encode(&mut pass);
        }
    }

    /// Like [`Recording::encode`], but with these workgroup counts, one for each dispatch, instead of the recorded
    /// ones.
    pub(crate) fn encode_sized(&self, encoder: &mut wgpu::CommandEncoder, workgroups: &[[u32; 3]]) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for (step, &workgroups) in self.steps.iter().zip(workgroups) {
            step.encode_sized(&mut pass, workgroups);
        }
    }

    /// Submits the dispatches to the context's queue. Does not wait for them.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) when the device refuses them or is lost.
    pub fn submit(&self, context: &Context) -> Result<()> {
        context.checked("submit", || {
            let mut encoder = context.device().create_command_encoder(&Default::default());
            self.encode(&mut encoder);
            context.queue().submit([encoder.finish()]);
            Ok(())
        })
    }

    /// Every dispatch, in order: its section, the key of its pipeline, and its workgroup counts.
    pub fn dispatches(&self) -> impl Iterator<Item = (Section, &PipelineKey, [u32; 3])> {
        self.steps.iter().map(|step| (step.section, &step.key, step.workgroups))
    }

    /// The number of dispatches.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there are no dispatches.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

pub(super) fn label(section: Section, key: &PipelineKey) -> String {
    format!("{section}.{}", key.kernel())
}
