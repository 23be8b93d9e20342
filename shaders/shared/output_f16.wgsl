// Four numbers as they are written: f16, packed in pairs and rounded to nearest. What is past 65,504 becomes infinite, so
// that it is found at the end and not taken for a number.
#import shared/pack.wgsl

alias Output4 = vec2<u32>;

fn narrow(value: vec4<f32>) -> Output4 {
    return vec2(pack(value.xy), pack(value.zw));
}

fn widen_output(stored: Output4) -> vec4<f32> {
    return vec4(unpack2x16float(stored.x), unpack2x16float(stored.y));
}
