//! A readable CPU reference of every kernel, on slices, with sums in f64. The kernels are compared with these on every
//! adapter (`tcvit doctor`) and at many awkward sizes (`tests/kernels/`).

pub mod assemble;
pub mod assign;
pub mod assign_lowest;
pub mod attention;
pub mod attention_connectivity;
pub mod attention_mean;
pub mod attention_mix;
pub mod bipartite;
pub mod connectivity;
pub mod convolve;
pub mod dominance;
pub mod fuse;
pub mod key_mean;
pub mod layer_norm;
pub mod linear;
pub mod matrix_product;
pub mod newton_start;
pub mod patchify;
pub mod pool;
pub mod query_key;
pub mod resample;
pub mod score;
pub mod similarity;
pub mod softmax;
pub mod texture;
pub mod token_max;
pub mod top_k;
pub mod trim;
pub mod uniqueness;
