//! Reference of `condense/key_mean.wgsl`.

use crate::kernels::key_mean::Params;

/// Keys of the patch tokens, averaged over heads and scaled to unit length: [B, N, Dh]. A key of length 0 stays 0.
pub fn key_mean(qkv: &[f32], params: &Params) -> Vec<f32> {
    let (row, head, heads) = (params.row4 as usize * 4, params.head4 as usize * 4, params.heads as usize);
    let mut keys = Vec::new();
    for image in qkv.chunks_exact(params.tokens as usize * row) {
        for token in image.chunks_exact(row).skip(params.prefix as usize) {
            let key = &token[params.key_offset4 as usize * 4..][..heads * head];
            let mean: Vec<f64> = (0..head)
                .map(|d| (0..heads).map(|h| f64::from(key[h * head + d])).sum::<f64>() / heads as f64)
                .collect();
            let length = mean.iter().map(|v| v * v).sum::<f64>().sqrt();
            keys.extend(mean.iter().map(|v| if length > 0.0 { (v / length) as f32 } else { 0.0 }));
        }
    }
    keys
}
