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

// Texels of four words that eight take, and eight from them.
const TEXELS8: u32 = 2u;

fn input8(first: vec4<u32>, second: vec4<u32>) -> Input8 {
    return Input8(bitcast<vec4<f32>>(first), bitcast<vec4<f32>>(second));
}
