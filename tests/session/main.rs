//! Sessions: the same bits every time, both paths of connectivity, batches that do not fit, traces, and lost devices.

mod attention;
mod decisions;
mod determinism;
mod device;
mod flow;
mod inspect;
mod paths;
mod preprocess;
mod splitting;
#[path = "../support/mod.rs"]
mod support;
mod traces;
mod tuning;
mod waiting;
