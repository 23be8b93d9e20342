//! Reference of `embed/texture.wgsl`.

use crate::kernels::texture::Params;

/// The texels that one pixel is made of along one axis, with their weights.
fn window(pixel: usize, scale: f32, offset: f32, texels: u32, bicubic: bool) -> Vec<(usize, f64)> {
    let (scale, offset) = (f64::from(scale), f64::from(offset));
    let centre = (pixel as f64 + 0.5) * scale + offset;
    let stretch = scale.max(1.0);
    let reach = stretch * if bicubic { 2.0 } else { 1.0 };
    let first = (centre - reach - 0.5).ceil().max(0.0) as usize;
    let last = (centre + reach - 0.5).floor().min(f64::from(texels) - 1.0) as usize;
    (first..=last).map(|texel| (texel, weight((texel as f64 + 0.5 - centre) / stretch, bicubic))).collect()
}

/// The filter's weight at `distance`: bilinear, or cubic convolution with a = -0.5.
fn weight(distance: f64, bicubic: bool) -> f64 {
    let x = distance.abs();
    match (bicubic, x) {
        (false, x) => (1.0 - x).max(0.0),
        (true, x) if x < 1.0 => 1.5 * x.powi(3) - 2.5 * x.powi(2) + 1.0,
        (true, x) if x < 2.0 => -0.5 * x.powi(3) + 2.5 * x.powi(2) - 4.0 * x + 2.0,
        _ => 0.0,
    }
}

/// `texels` [height, width, 3], encoded, from 0 to 1, as normalised pixels [3, side, side].
pub fn texture(texels: &[f32], params: &Params) -> Vec<f32> {
    let side = params.side as usize;
    let bicubic = params.bicubic == 1;
    let normalise = [(params.mean_r, params.std_r), (params.mean_g, params.std_g), (params.mean_b, params.std_b)];
    let columns: Vec<_> =
        (0..side).map(|x| window(x, params.scale_x, params.offset_x, params.width, bicubic)).collect();
    let mut pixels = vec![0.0; 3 * side * side];
    for y in 0..side {
        let rows = window(y, params.scale_y, params.offset_y, params.height, bicubic);
        for (x, columns) in columns.iter().enumerate() {
            for (channel, (mean, std)) in normalise.into_iter().enumerate() {
                let texel =
                    |row: usize, column| f64::from(texels[(row * params.width as usize + column) * 3 + channel]);
                let value = mean_of(&rows, |row| mean_of(columns, |column| texel(row, column)));
                pixels[(channel * side + y) * side + x] = ((value - f64::from(mean)) / f64::from(std)) as f32;
            }
        }
    }
    pixels
}

/// The weighted mean of `value` over a window, clamped to 0 to 1.
fn mean_of(window: &[(usize, f64)], value: impl Fn(usize) -> f64) -> f64 {
    let total: f64 = window.iter().map(|(_, weight)| weight).sum();
    let sum: f64 = window.iter().map(|&(index, weight)| weight * value(index)).sum();
    (sum / total).clamp(0.0, 1.0)
}
