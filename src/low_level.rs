//! The internals, for programs that build on them: kernels and their CPU references, the recorder, the ways of each
//! operation, the doctor, plans, checkpoints and measurements. Semantic versioning **does not cover** this module: any
//! release may change anything in it.

pub use crate::stage::connectivity_matrix;

macro_rules! internals {
    ($($name:ident: $doc:literal;)*) => {
        $(#[doc = $doc]
        pub mod $name {
            pub use crate::$name::*;
        })*
    };
}

internals! {
    ceiling: "The highest throughput of an adapter, measured.";
    convergence: "Whether Newton's iteration of the paper converges on given attention.";
    difference: "How far a kernel's results are from its reference's.";
    doctor: "Comparisons of every kernel with its CPU reference.";
    file: "Files that are written whole or not at all.";
    gpu: "Devices, kernel declarations, shaders, pipelines, the recorder, profiles, files kept on disk.";
    input: "How images become a network's pixels.";
    kernels: "How each kernel is recorded, one module for each shader.";
    plan: "Tokens per block, sizes and workgroup counts.";
    random: "Reproducible random numbers.";
    reference: "A readable CPU implementation of each operation.";
    ways: "Which way of an operation runs on a device.";
    weights: "Checkpoints and their tensors.";
}
