// Four numbers as a kernel reads them: f32. (shared/input_f16.wgsl reads f16.)
alias Input4 = vec4<f32>;

fn widen(stored: Input4) -> vec4<f32> {
    return stored;
}

// Eight numbers.
alias Input8 = mat2x4<f32>;

fn widen_low(stored: Input8) -> vec4<f32> {
    return stored[0];
}

fn widen_high(stored: Input8) -> vec4<f32> {
    return stored[1];
}

// TEXELS8: the texels of four words that hold eight numbers. `input8` makes eight numbers of two such texels.
const TEXELS8: u32 = 2u;

fn input8(first: vec4<u32>, second: vec4<u32>) -> Input8 {
    return Input8(bitcast<vec4<f32>>(first), bitcast<vec4<f32>>(second));
}
