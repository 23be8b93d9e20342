//! One module per shader stem: its uniform, its buffers, its workgroup counts, and how it is recorded.

pub mod assemble;
pub mod assign;
pub mod assign_lowest;
pub mod attention_connectivity;
pub mod attention_mix;
pub mod bipartite;
pub mod connectivity;
pub mod convolve;
pub mod dominance;
pub mod fuse;
pub mod key_mean;
pub mod layer_norm;
pub mod linear;
pub mod linear_cooperative;
pub mod matrix_product;
pub mod newton_start;
pub mod patchify;
pub mod pool;
pub mod query_key;
pub mod score;
pub mod similarity;
pub mod softmax;
pub mod texture;
pub mod token_max;
pub mod top_k;
pub mod uniqueness;

use crate::gpu::Kernel;

/// Every kernel of the crate, for checks that go over all of them.
pub const KERNELS: &[Kernel] = &[
    assemble::KERNEL,
    assign::KERNEL,
    assign_lowest::KERNEL,
    attention_connectivity::KERNEL,
    attention_mix::KERNEL,
    bipartite::KERNEL,
    connectivity::KERNEL,
    convolve::KERNEL,
    dominance::KERNEL,
    fuse::KERNEL,
    key_mean::KERNEL,
    layer_norm::KERNEL,
    linear::KERNEL,
    linear_cooperative::KERNEL,
    matrix_product::KERNEL,
    newton_start::KERNEL,
    patchify::KERNEL,
    pool::KERNEL,
    query_key::KERNEL,
    score::KERNEL,
    similarity::KERNEL,
    softmax::KERNEL,
    texture::KERNEL,
    token_max::KERNEL,
    top_k::KERNEL,
    uniqueness::KERNEL,
];
