// GELU(x) = x/2 (1 + erf(x / sqrt 2)). WGSL has no erf: this is Abramowitz and Stegun 7.1.26, a rational times a
// Gaussian, whose absolute error is at most 1.5e-7.
fn erf(x: f32) -> f32 {
    let a = abs(x);
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return sign(x) * (1.0 - series * exp(-a * a));
}

fn gelu(x: f32) -> f32 {
    return 0.5 * x * (1.0 + erf(x * 0.70710678));
}

fn gelu4(x: vec4<f32>) -> vec4<f32> {
    return vec4(gelu(x.x), gelu(x.y), gelu(x.z), gelu(x.w));
}
