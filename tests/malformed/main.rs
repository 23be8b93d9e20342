//! Broken files and options are refused with an error that names the cause. They never cause a panic or a wrong answer.

mod configuration;
mod files;
mod headers;
mod lvvit;
mod options;
#[path = "../support/mod.rs"]
mod support;
mod tensors;
