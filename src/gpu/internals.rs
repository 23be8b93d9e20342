//! What a context tells those who build on the internals.

use super::{Choices, Context, Kernel, PipelineKey, Store, Traits};

/// Methods of [`Context`] for those who build on the internals.
pub trait Internals {
    /// What kernels are chosen by.
    fn traits(&self) -> &Traits;

    /// Whether the device has what `kernel` needs, and the kernel is not to be avoided.
    fn supports(&self, kernel: &Kernel) -> bool;

    /// Whether the pipeline of `key` is that of a fallback that a session asked for.
    fn is_fallback(&self, key: &PipelineKey) -> bool;

    /// The keys of every pipeline that was compiled so far.
    fn compiled(&self) -> Vec<PipelineKey>;

    /// What was found out about this device.
    fn choices(&self) -> &Choices;

    /// Whether the fastest kernels are searched for ([`ContextOptions::tune`](super::ContextOptions::tune)).
    fn tunes(&self) -> bool;

    /// What is kept on disk for this adapter and driver.
    fn store(&self) -> &Store;

    /// Keeps the pipelines compiled so far for the next run, where the store and the device can; does nothing when there
    /// are no new ones. Opening a session does this.
    fn keep_pipelines(&self);

    /// The largest range one storage binding may cover, in bytes.
    fn max_binding(&self) -> u64;
}

impl Internals for Context {
    fn traits(&self) -> &Traits {
        self.traits()
    }

    fn supports(&self, kernel: &Kernel) -> bool {
        self.supports(kernel)
    }

    fn is_fallback(&self, key: &PipelineKey) -> bool {
        self.is_fallback(key)
    }

    fn compiled(&self) -> Vec<PipelineKey> {
        self.compiled()
    }

    fn choices(&self) -> &Choices {
        self.choices()
    }

    fn tunes(&self) -> bool {
        self.tunes()
    }

    fn store(&self) -> &Store {
        self.store()
    }

    fn keep_pipelines(&self) {
        self.keep_pipelines()
    }

    fn max_binding(&self) -> u64 {
        self.max_binding()
    }
}

/// A context that chooses ways as on a device of `traits`, and takes each for verified if its comparison would run the
/// very pipeline: to list what sessions would run on devices that are not at hand. `device` must have the features, and
/// may compute nothing (wgpu's `noop` backend); nothing is kept.
pub fn rehearsing(device: wgpu::Device, queue: wgpu::Queue, traits: Traits) -> Context {
    Context::rehearsing(device, queue, traits)
}
