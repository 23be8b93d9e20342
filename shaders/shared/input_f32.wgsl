// Four numbers as they are read: f32. (shared/input_f16.wgsl is the other choice.)
alias Input4 = vec4<f32>;

fn widen(stored: Input4) -> vec4<f32> {
    return stored;
}

// Eight of them.
alias Input8 = mat2x4<f32>;

fn widen_low(stored: Input8) -> vec4<f32> {
    return stored[0];
}

fn widen_high(stored: Input8) -> vec4<f32> {
    return stored[1];
}
