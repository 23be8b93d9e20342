//! One module per shader stem: its uniform, its buffers, its workgroup counts, and how it is recorded.

pub mod assemble;
pub mod assign;
pub mod assign_lowest;
pub mod attention;
pub mod attention_connectivity;
pub mod attention_mean;
pub mod attention_mix;
pub mod attention_powers;
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

use crate::gpu::Kernel;

/// Every kernel of the crate, for checks that go over all of them.
pub const KERNELS: &[Kernel] = &[
    assemble::KERNEL,
    assign::KERNEL,
    assign::SUBGROUP,
    assign_lowest::KERNEL,
    attention::KERNEL,
    attention::SUBGROUP,
    attention::cooperative::KERNEL,
    attention_connectivity::KERNEL,
    attention_powers::KERNEL,
    attention_mean::KERNEL,
    attention_mean::ROW,
    attention_mean::SUBGROUP,
    attention_mean::cooperative::KERNEL,
    attention_mix::KERNEL,
    attention_mix::SUBGROUP,
    bipartite::KERNEL,
    connectivity::KERNEL,
    convolve::KERNEL,
    convolve::subgroup::KERNEL,
    convolve::cooperative::KERNEL,
    dominance::KERNEL,
    fuse::KERNEL,
    key_mean::KERNEL,
    key_mean::SUBGROUP,
    layer_norm::KERNEL,
    layer_norm::SUBGROUP,
    linear::KERNEL,
    linear::cooperative::KERNEL,
    linear::subgroup::KERNEL,
    linear::tiled::KERNEL,
    matrix_product::KERNEL,
    newton_start::KERNEL,
    patchify::KERNEL,
    pool::KERNEL,
    query_key::KERNEL,
    query_key::SUBGROUP,
    query_key::cooperative::KERNEL,
    resample::KERNEL,
    score::KERNEL,
    score::SUBGROUP,
    similarity::KERNEL,
    softmax::KERNEL,
    softmax::SUBGROUP,
    texture::KERNEL,
    token_max::KERNEL,
    top_k::KERNEL,
    top_k::SUBGROUP,
    trim::KERNEL,
    uniqueness::KERNEL,
];
