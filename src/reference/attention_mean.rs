//! Reference of `block/attention_mean.wgsl`.

use super::attention::{Row, bias};
use crate::kernels::attention_mean::Params;

/// The mean over heads of the probabilities of patch keys, [B, Q, N], computed from queries and keys alone.
pub fn attention_mean(qkv: &[f32], sizes: Option<&[f32]>, params: &Params) -> Vec<f32> {
    let [tokens, prefix, heads, images] =
        [params.tokens, params.prefix, params.heads, params.images].map(|n| n as usize);
    let (row, head, offset) = (params.row4 as usize * 4, params.head4 as usize * 4, params.key_offset4 as usize * 4);
    let mut y = Vec::new();
    for image in 0..images {
        for query in params.query as usize..(params.query + params.queries) as usize {
            let mut sums = vec![0.0; tokens - prefix];
            for h in 0..heads {
                let vector = |token: usize, offset: usize| &qkv[token * row + offset + h * head..][..head];
                let all = image * tokens..(image + 1) * tokens;
                let keys = all.map(|key| (vector(key, offset), bias(sizes, key)));
                let row = Row::new(vector(image * tokens + query, 0), params.scale, keys);
                for (sum, p) in sums.iter_mut().zip(&row.probabilities[prefix..]) {
                    *sum += p;
                }
            }
            y.extend(sums.iter().map(|sum| (sum / heads as f64) as f32));
        }
    }
    y
}
