// Four numbers as a kernel reads them: f16, packed in pairs, which needs no feature of the adapter.
alias Input4 = vec2<u32>;

fn widen(stored: Input4) -> vec4<f32> {
    return vec4(unpack2x16float(stored.x), unpack2x16float(stored.y));
}

// Eight numbers, which cost little more to load than four.
alias Input8 = vec4<u32>;

fn widen_low(stored: Input8) -> vec4<f32> {
    return widen(stored.xy);
}

fn widen_high(stored: Input8) -> vec4<f32> {
    return widen(stored.zw);
}

// TEXELS8: the texels of four words that hold eight numbers. `input8` makes eight numbers of two such texels; here it
// needs only the first.
const TEXELS8: u32 = 1u;

fn input8(first: vec4<u32>, second: vec4<u32>) -> Input8 {
    return first;
}
