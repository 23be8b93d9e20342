//! Runs Vision Transformers on any GPU through wgpu (Vulkan, Metal, DX12), with connectivity-based token condensation
//! (TC-ViT). Condensation fuses the least representative tokens of every block, between attention and MLP, into the
//! tokens that represent them best.
//!
//! ```no_run
//! use tcvit::{Condensation, Context, ContextOptions, Model, SessionOptions};
//!
//! let gpu = Context::open(ContextOptions::new())?; // or Context::from_device(device, queue)?
//! let model = Model::load(&gpu, "deit_small.safetensors")?;
//! let options = SessionOptions::new().batch(8).condense(Condensation::training_free().drop_per_block(16));
//! let session = model.session(options)?;
//! println!("{}", session.classify(["cat.jpg"])?[0].top(1)[0].name());
//! # Ok::<(), tcvit::Error>(())
//! ```
//!
//! # Where to look
//! A [`Context`] is a device. A [`Model`] has weights on it. A [`Session`] is a model with a batch size and a
//! [`Condensation`], recorded once and replayed for every batch. [`cost`] counts multiply-adds, a [`Trace`] holds the
//! outputs of a forward, [`Provenance`] follows every patch through the forward, and [`timing`] compares the full model
//! with a condensed one. [`low_level`] has the internals.
//!
//! # Waiting
//! `open`, `load`, `session`, `run`, `classify`, `embed` and [`Pending::wait`] block the calling thread. `open_async`,
//! `load_async`, `session_async`, `run_async`, `classify_async` and `embed_async` do the same work on a thread of their
//! own and return futures. [`Session::submit`] returns a [`Pending`], which is itself a future. Any executor can run
//! these futures. The other functions that wait have no `async` form: run [`Session::stream`], for example, on a thread
//! of your own.
//!
//! # Letters
//! **B** batch, **N** patch tokens, **E** prefix tokens (class, then distillation, then registers), **T** = E + N,
//! **D** width, **H** heads, **Dh** = D / H, **L** blocks, **R** tokens dropped in a block, **K** connectivity order,
//! **F** MLP width. W is the connectivity of order 1, C the connectivity of orders 1 to K, c the mean of C, S the
//! score.
//!
//! # Features
//! `software` (default) adds the kernels that only software adapters run; a software adapter is a CPU that emulates a
//! GPU. `hub` adds the module `hub` and `Model::from_hub`, which download models from the Hugging Face hub. `jpeg`,
//! `png`, `webp`, `bmp`, `gif` and `tiff` (default) add decoders of these image formats.

#![warn(missing_docs)]

pub mod condensation;
pub mod config;
pub mod cost;
#[cfg(feature = "hub")]
pub mod hub;
pub mod low_level;
pub mod timing;
pub mod trace;

mod ceiling;
mod comparison;
mod convergence;
mod cosines;
mod difference;
mod doctor;
mod error;
mod file;
mod gpu;
mod input;
mod kernels;
mod model;
mod plan;
mod prediction;
mod provenance;
mod random;
mod reference;
mod session;
mod stage;
mod ways;
mod weights;
mod workspace;

pub use condensation::Condensation;
pub use config::VitConfig;
pub use error::{Error, Result};
pub use gpu::{AdapterSummary, Context, ContextOptions, Keep, KernelTime, Precision, Verification, recommended};
pub use input::{IntoImage, decode_image, open_image};
pub use model::{LoadOptions, Model};
pub use plan::Attention;
pub use prediction::{Guess, Prediction};
pub use provenance::{BlockProvenance, Provenance};
pub use session::{Outputs, Pending, Predictions, Preprocessing, Session, SessionOptions};
pub use trace::Trace;
// The versions of these crates that the public functions take.
pub use image;
pub use wgpu;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
