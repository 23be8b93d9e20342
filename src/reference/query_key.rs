//! Reference of `block/query_key.wgsl`.

use crate::kernels::query_key::Params;

/// scale * q . k (+ ln size of the key) for every image, head, query and key. Elements of y [B, H, T, stride] past T
/// are not changed.
pub fn query_key(x: &[f32], sizes: Option<&[f32]>, params: &Params, y: &mut [f32]) {
    let (tokens, row, head) = (params.tokens as usize, params.row4 as usize * 4, params.head4 as usize * 4);
    let (heads, stride, keys) = (params.heads as usize, params.stride as usize, params.key_offset4 as usize * 4);
    for (block, out) in y.chunks_exact_mut(tokens * stride).enumerate() {
        let (image, h) = (block / heads, block % heads);
        for query in 0..tokens {
            let q = &x[(image * tokens + query) * row + h * head..][..head];
            for key in 0..tokens {
                let k = &x[(image * tokens + key) * row + keys + h * head..][..head];
                let dot: f64 = q.iter().zip(k).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
                let bias = sizes.map_or(0.0, |sizes| f64::from(sizes[image * tokens + key]).ln());
                out[query * stride + key] = (dot * f64::from(params.scale) + bias) as f32;
            }
        }
    }
}
