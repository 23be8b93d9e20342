//! Methods of a context for programs that use the crate's internals.

use super::{Choices, Context, Kernel, PipelineKey, Store, Traits};

/// Methods of [`Context`] for programs that use the crate's internals.
pub trait Internals {
    /// The traits of the device, by which kernels are chosen.
    fn traits(&self) -> &Traits;

    /// Whether the device has all that `kernel` needs, and the context need not avoid the kernel.
    fn supports(&self, kernel: &Kernel) -> bool;

    /// Whether `key` is the pipeline of a fallback that a session asked for.
    fn is_fallback(&self, key: &PipelineKey) -> bool;

    /// The keys of all pipelines compiled so far.
    fn compiled(&self) -> Vec<PipelineKey>;

    /// The findings about this device.
    fn choices(&self) -> &Choices;

    /// Whether the context searches for the fastest kernels ([`ContextOptions::tune`](super::ContextOptions::tune)).
    fn tunes(&self) -> bool;

    /// The store on disk for this adapter and driver.
    fn store(&self) -> &Store;

    /// Writes the compiled pipelines to disk for the next run, if the store and the device can keep them. Does nothing
    /// if no pipeline is new. Opening a session calls this.
    fn keep_pipelines(&self);

    /// The largest range that one storage binding may cover, in bytes.
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

/// A context that chooses ways as on a device of `traits`. It takes a way as verified if the way's comparison would run
/// exactly the same pipeline. With it, a test can list what sessions would run on devices that are not at hand.
/// `device` must have the features of `traits`, but need not compute anything (wgpu's `noop` backend). Nothing is kept
/// on disk.
pub fn rehearsing(device: wgpu::Device, queue: wgpu::Queue, traits: Traits) -> Context {
    Context::rehearsing(device, queue, traits)
}
