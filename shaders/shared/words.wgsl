// f16 as the words that they are fetched as, on their way into workgroup memory. Words stay in the registers that they are
// loaded into, where NVIDIA's driver moves each f16 once more and waits for memory there. What makes halves of them is
// exact, and nothing to a compiler. The shader that imports this imports shared/cooperative.wgsl.
fn halves(words: vec2<u32>) -> vec4<f16> {
    return vec4<f16>(vec4(unpack2x16float(words.x), unpack2x16float(words.y)));
}

fn eight(words: vec4<u32>) -> Eight {
    return Eight(halves(words.xy), halves(words.zw));
}
