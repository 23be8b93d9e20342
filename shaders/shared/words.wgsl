// f16 values are fetched as u32 words on their way into workgroup memory. Words stay in the registers that they are
// loaded into; for f16, NVIDIA's driver moves each value once more, and waits for the load to do so. The conversion of
// words to halves is exact, and costs no instruction once compiled. The shader that imports this also imports
// shared/cooperative.wgsl.
fn halves(words: vec2<u32>) -> vec4<f16> {
    return vec4<f16>(vec4(unpack2x16float(words.x), unpack2x16float(words.y)));
}

fn eight(words: vec4<u32>) -> Eight {
    return Eight(halves(words.xy), halves(words.zw));
}
