//! What knows wgpu and nothing of transformers: device, buffers, shaders, pipelines, recordings, profiles.

mod adapters;
mod buffers;
mod choices;
mod context;
mod cooperative;
mod kernel;
pub(crate) mod octet;
mod open;
mod pipelines;
mod precision;
mod profiler;
mod recorder;
mod shaders;
mod store;
mod textures;
mod traits;
mod way;

pub use adapters::AdapterSummary;
pub use buffers::{download, empty, upload};
pub use choices::Choices;
pub use context::Context;
pub use cooperative::{COOPERATIVE, Tile};
pub(crate) use kernel::kernel;
pub use kernel::{Access, Binding, Field, FieldOf, FieldType, Kernel, Override, Uniform};
pub use open::{ContextOptions, Observer, Verification};
pub use precision::{Precision, Types};
pub use profiler::{KernelTime, profile};
pub use recorder::{Operand, Recorder, Recording, grid};
pub use shaders::{SHADERS, Shaders};
pub use store::{Keep, Store};
pub use textures::{Home, Matrix, Placed, Texels, fits, texture, upload_texture};
pub use traits::Traits;
pub use way::{Constants, Form, Operation, PipelineKey, Way};
