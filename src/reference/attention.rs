//! Reference of `block/attention.wgsl`.

use crate::kernels::attention::Params;

/// A row of P, with the row's largest logit and 1 / the sum of its exponentials.
pub(super) struct Row {
    pub(super) probabilities: Vec<f64>,
    pub(super) largest: f64,
    pub(super) inverse: f64,
}

impl Row {
    /// The softmax of scale * `query` . key + bias over the keys, which come with their biases.
    pub(super) fn new<'a>(query: &[f32], scale: f32, keys: impl Iterator<Item = (&'a [f32], f64)>) -> Self {
        let logit = |(key, bias): (&[f32], f64)| {
            let dot: f64 = query.iter().zip(key).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            dot * f64::from(scale) + bias
        };
        let logits: Vec<f64> = keys.map(logit).collect();
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
        let inverse = 1.0 / powers.iter().sum::<f64>();
        Self { probabilities: powers.iter().map(|power| power * inverse).collect(), largest, inverse }
    }
}

/// ln(size) of a token, or 0 without sizes.
pub(super) fn bias(sizes: Option<&[f32]>, token: usize) -> f64 {
    sizes.map_or(0.0, |sizes| f64::from(sizes[token]).ln())
}

/// softmax(scale * q . k (+ ln size of the key)) times the values of qkv [B, T, row]: [B, T, H * Dh], with heads side
/// by side. Also, for every row of the softmax [B, H, T], the largest logit and 1 / the sum of exponentials.
pub fn attention(qkv: &[f32], sizes: Option<&[f32]>, params: &Params) -> (Vec<f32>, Vec<[f32; 2]>) {
    let [tokens, heads, images, head] =
        [params.tokens, params.heads, params.images, params.head4 * 4].map(|n| n as usize);
    let at = |token: usize, offset4: u32| &qkv[token * params.row4 as usize * 4 + offset4 as usize * 4..];
    let mut y = vec![0.0; images * tokens * heads * head];
    let mut rows = Vec::with_capacity(images * heads * tokens);
    for index in 0..images * heads * tokens {
        let (image, h, query) = (index / tokens / heads, index / tokens % heads, index % tokens);
        let all = image * tokens..(image + 1) * tokens;
        let keys = all.clone().map(|key| (&at(key, params.key_offset4)[h * head..][..head], bias(sizes, key)));
        let row = Row::new(&at(image * tokens + query, 0)[h * head..][..head], params.scale, keys);
        let out = &mut y[((image * tokens + query) * heads + h) * head..][..head];
        for (element, out) in out.iter_mut().enumerate() {
            let value = |key| f64::from(at(key, params.value_offset4)[h * head + element]);
            *out = all.clone().zip(&row.probabilities).map(|(key, p)| p * value(key)).sum::<f64>() as f32;
        }
        rows.push([row.largest as f32, row.inverse as f32]);
    }
    (y, rows)
}
