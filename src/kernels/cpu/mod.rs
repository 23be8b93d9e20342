//! Kernels for software adapters only, where loads from buffers cost more than arithmetic. Each of these kernels makes
//! a whole forward at least a tenth faster, in one of the models that it is for (measured on llvmpipe at batch 8). They
//! are compiled with the feature `software` only.

pub mod assign;
pub mod attention;
pub mod attention_mean;
pub mod convolve;
pub mod linear;
