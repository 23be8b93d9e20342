// Four numbers as a kernel writes them: f16, packed in pairs and rounded to nearest. A number too large for f16 (past
// 65,504) becomes infinite, so that the overflow is noticed in the results.
#import shared/pack.wgsl

alias Output4 = vec2<u32>;

fn narrow(value: vec4<f32>) -> Output4 {
    return vec2(pack(value.xy), pack(value.zw));
}

fn widen_output(stored: Output4) -> vec4<f32> {
    return vec4(unpack2x16float(stored.x), unpack2x16float(stored.y));
}
