// The activations of an MLP, chosen by ACTIVATION: 0 none; 1 GELU; 2 GELU by its tanh approximation; 3 quick GELU,
// which is x times the logistic function of 1.702 x.
override ACTIVATION: u32 = 0u;

// GELU(x) = x/2 (1 + erf(x / sqrt 2)). WGSL has no erf. This is formula 7.1.26 of Abramowitz and Stegun: a polynomial
// in 1 / (1 + p |x|) times a Gaussian, with an absolute error of at most 1.5e-7.
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

// x/2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). The argument is clamped, because tanh of a large number is NaN on
// some drivers.
fn gelu_tanh4(x: vec4<f32>) -> vec4<f32> {
    let inner = 0.79788456 * (x + 0.044715 * x * x * x);
    return 0.5 * x * (vec4(1.0) + tanh(clamp(inner, vec4(-15.0), vec4(15.0))));
}

// x / (1 + exp(-1.702 x)). The exponent is limited to 88, because the exponential of a larger number overflows f32.
fn quick_gelu4(x: vec4<f32>) -> vec4<f32> {
    return x / (vec4(1.0) + exp(min(-1.702 * x, vec4(88.0))));
}

fn activate(x: vec4<f32>) -> vec4<f32> {
    if ACTIVATION == 3u {
        return quick_gelu4(x);
    }
    if ACTIVATION == 2u {
        return gelu_tanh4(x);
    }
    return gelu4(x);
}
