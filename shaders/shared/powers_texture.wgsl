// What powers_buffer.wgsl reads, from textures: a layer for each image, eight f16 or four f32 to a texel, and one texel more
// for what makes probabilities of them. A row is known by its image in the upper half and its number in the lower.
@group(0) @binding(1) var powers: texture_storage_2d_array<rgba32uint, read>; // [B, H * T, T / 8 rounded up, or twice that, + 1]

fn row_of_powers(image: u32, query: u32) -> u32 {
    return (image << 16u) + query;
}

fn powers_step() -> u32 {
    return 1u;
}

fn texel_of_powers(row: u32, at: u32) -> vec4<u32> {
    return textureLoad(powers, vec2(at, row & 0xffffu), row >> 16u);
}

fn eight_powers(row: u32, eight: u32) -> Input8 {
    let at = eight * TEXELS8;
    let first = texel_of_powers(row, at);
    if TEXELS8 == 1u {
        return input8(first, first);
    }
    return input8(first, texel_of_powers(row, at + 1u));
}

fn softmax_row(index: u32, row: u32) -> vec2<f32> {
    return bitcast<vec4<f32>>(texel_of_powers(row, (params.tokens + 7u) / 8u * TEXELS8)).xy;
}
