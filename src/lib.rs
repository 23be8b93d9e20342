pub mod doctor;
pub mod error;
pub mod gpu;
pub mod kernels;
pub mod random;
pub mod reference;
pub use error::{Error, Result};
pub use gpu::Context;
