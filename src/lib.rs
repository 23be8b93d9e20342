//! Vision Transformers on any GPU that WebGPU reaches (Vulkan, Metal, DX12), with connectivity-based token condensation
//! (TC-ViT): in every block, between attention and MLP, the least representative tokens are fused into those that stand
//! for them best.
//!
//! ```no_run
//! use tcvit::{Condensation, Context, Model, SessionOptions};
//!
//! let gpu = Context::blocking()?; // or Context::from_device(device, queue)
//! let model = Model::load(&gpu, "deit_small.safetensors")?;
//! let session = model.session(SessionOptions::new().batch(8).condense(Condensation::training_free().drop(16)))?;
//! let photo = tcvit::input::open_image("cat.jpg".as_ref())?;
//! println!("{}", session.classify(&[photo])?[0].top(1)[0].name());
//! # Ok::<(), tcvit::Error>(())
//! ```
//!
//! # Where to look
//! [`Context`] is a device, [`Model`] weights on it, [`Session`] a model with a batch size and a [`Condensation`],
//! recorded once and replayed for every batch. [`plan`] knows every size before anything runs, [`cost`] every
//! multiply-add, [`Trace`] what a forward decided, [`Provenance`] what became of every patch, [`timing`] compares full and
//! condensed. [`kernels`], their CPU references in [`reference`](mod@reference), the [`ways`] to do each operation and the
//! [`doctor`] that compares them are public for those who build on them.
//!
//! # Letters
//! **B** batch, **N** patch tokens, **E** prefix tokens (class, then distillation, then registers), **T** = E + N,
//! **D** width, **H** heads, **Dh** = D / H, **L** blocks, **R** tokens dropped in a block, **K** connectivity order,
//! **F** MLP width. W is the connectivity of order 1, C that of orders 1 to K, c its mean, S the score.
//!
//! # Features
//! `software` (default) has the kernels that only software adapters run: CPUs that emulate a GPU. `hub` adds the module
//! `hub` and `Model::from_hub`, which download models from the Hugging Face hub. `jpeg`, `png`, `webp`, `bmp`, `gif` and
//! `tiff` (default) open images of these formats.

#![warn(missing_docs)]

pub mod ceiling;
pub mod condensation;
pub mod config;
pub mod convergence;
pub mod cost;
pub mod difference;
pub mod doctor;
pub mod error;
pub mod file;
pub mod gpu;
#[cfg(feature = "hub")]
pub mod hub;
pub mod input;
pub mod kernels;
pub mod model;
pub mod plan;
pub mod prediction;
pub mod provenance;
pub mod random;
pub mod reference;
pub mod session;
pub mod timing;
pub mod trace;
pub mod ways;
pub mod weights;

mod comparison;
mod cosines;
mod stage;
mod workspace;

pub use condensation::Condensation;

pub use config::VitConfig;
pub use error::{Error, Result};
pub use gpu::{Context, ContextOptions, Keep, Precision};
pub use model::{LoadOptions, Model};
pub use plan::Attention;
pub use prediction::{Guess, Prediction};
pub use provenance::Provenance;
pub use session::{IntoImage, Pending, Predictions, Preprocessing, Session, SessionOptions, Wanted};
pub use stage::connectivity_matrix;
pub use trace::Trace;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
