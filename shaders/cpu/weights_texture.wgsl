// The weights of weights_buffer.wgsl in a texture, whose rows are whole groups of eight numbers.
@group(0) @binding(2) var w: texture_storage_2d_array<rgba32uint, read>; // [1, K, columns4 / 2 rounded up, x 2 in f32]

override EVEN: bool = true; // not used: rows of texels are whole groups of eight

struct Pair {
    a: vec4<f32>,
    b: vec4<f32>,
}

fn existing(column: u32) -> vec2<u32> {
    let a = min(column / 2u, (params.columns4 - 1u) / 2u) * 2u;
    return vec2(a, a + 1u);
}

fn pair(k: u32, columns: vec2<u32>) -> Pair {
    let at = columns.x / 2u * TEXELS8;
    let first = textureLoad(w, vec2(at, k), 0u);
    var second = first;
    if TEXELS8 == 2u {
        second = textureLoad(w, vec2(at + 1u, k), 0u);
    }
    let eight = input8(first, second);
    return Pair(widen_low(eight), widen_high(eight));
}
