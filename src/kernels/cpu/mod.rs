//! Kernels that only software adapters run: CPUs that emulate a GPU, where loads from buffers cost more than arithmetic. Each of
//! them by itself gains at least a tenth of a whole forward there, in one of the models that it is for (measured on llvmpipe at
//! batch 8). Without the feature `software` they are left out.

pub mod assign;
pub mod attention;
pub mod attention_mean;
pub mod convolve;
pub mod linear;
