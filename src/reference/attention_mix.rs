//! Reference of `block/attention_mix.wgsl`.

use crate::kernels::attention_mix::Params;

/// probs [B, H, T, stride] times the values of qkv [B, T, row], with heads side by side: [B, T, H * Dh].
pub fn attention_mix(probs: &[f32], qkv: &[f32], params: &Params) -> Vec<f32> {
    let (tokens, heads, head) = (params.tokens as usize, params.heads as usize, params.head4 as usize * 4);
    let (row, stride, values) =
        (params.row4 as usize * 4, params.stride4 as usize * 4, params.value_offset4 as usize * 4);
    let images = qkv.len() / (tokens * row);
    let mut y = vec![0.0; images * tokens * heads * head];
    for (index, out) in y.iter_mut().enumerate() {
        let (element, query) = (index % (heads * head), index / (heads * head) % tokens);
        let image = index / (heads * head) / tokens;
        let weights = &probs[((image * heads + element / head) * tokens + query) * stride..][..tokens];
        let sum: f64 = weights
            .iter()
            .enumerate()
            .map(|(key, &p)| f64::from(p) * f64::from(qkv[(image * tokens + key) * row + values + element]))
            .sum();
        *out = sum as f32;
    }
    y
}
