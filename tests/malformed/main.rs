//! What is broken is refused with a text that names the culprit: never a panic, never a wrong answer.

mod configuration;
mod files;
mod headers;
mod lvvit;
mod options;
#[path = "../support/mod.rs"]
mod support;
mod tensors;
