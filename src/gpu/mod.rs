//! What knows wgpu and nothing of transformers: device, buffers, shaders, pipelines, recordings, profiles.

mod buffers;
mod context;
mod cooperative;
mod pipelines;
mod precision;
mod profiler;
mod recorder;
mod shaders;

pub use buffers::{download, empty, upload};
pub use context::{AdapterSummary, Context, ContextOptions};
pub use cooperative::{COOPERATIVE, Tile};
pub use pipelines::{Access, Binding, Kernel};
pub use precision::{Precision, Types};
pub use profiler::{KernelTime, profile};
pub use recorder::{Operand, Recorder, Recording, grid};
pub use shaders::{SHADERS, Shaders};
