//! Reference of `embed/convolve.wgsl`.

use crate::kernels::convolve::Window;

/// `x` [B, C, S, S] convolved with `w` [C, K, K, O or more], plus `bias` [O or more], with or without ReLU: [B, O, U,
/// U].
pub fn convolve(
    x: &[f32],
    w: &[f32],
    bias: &[f32],
    [inputs, outputs]: [usize; 2],
    side: usize,
    window: Window,
    relu: bool,
) -> Vec<f32> {
    let (kernel, out_side) = (window.kernel, window.out_side(side));
    let row = w.len() / (inputs * kernel * kernel);
    // The pixel under column (or line) `u` of the kernel at place `place`, unless it is padding.
    let under = |place: usize, u: usize| (place * window.stride + u).checked_sub(window.padding).filter(|&p| p < side);
    let mut y = Vec::new();
    for image in x.chunks_exact(inputs * side * side) {
        for output in 0..outputs {
            for (top, left) in (0..out_side).flat_map(|top| (0..out_side).map(move |left| (top, left))) {
                let mut sum = f64::from(bias[output]);
                for (input, plane) in image.chunks_exact(side * side).enumerate() {
                    for v in 0..kernel {
                        let Some(line) = under(top, v) else { continue };
                        for u in 0..kernel {
                            let Some(column) = under(left, u) else { continue };
                            let weight = w[((input * kernel + v) * kernel + u) * row + output];
                            sum += f64::from(plane[line * side + column]) * f64::from(weight);
                        }
                    }
                }
                // NaN is kept: the comparison is false for it.
                y.push(if relu && sum < 0.0 { 0.0 } else { sum as f32 });
            }
        }
    }
    y
}
