//! Vision Transformers on any GPU that WebGPU reaches, with connectivity-based token condensation.

pub mod condensation;
pub mod config;
pub mod cost;
pub mod doctor;
pub mod error;
pub mod file;
pub mod gpu;
pub mod input;
pub mod kernels;
pub mod model;
pub mod plan;
pub mod prediction;
pub mod random;
pub mod reference;
pub mod session;
pub mod trace;
pub mod weights;

mod block;
mod condense;
mod embed;
mod forward;
mod head;
mod workspace;

pub use condensation::Condensation;
pub use config::VitConfig;
pub use error::{Error, Result};
pub use gpu::{Context, ContextOptions};
pub use model::Model;
pub use prediction::{Guess, Prediction};
pub use session::{Session, SessionOptions, Wanted};
pub use trace::Trace;
