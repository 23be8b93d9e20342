// What rows_buffer.wgsl reads, from textures: a layer for each image, a texel for four numbers of f32. A row is known by its
// image in the upper half and its token in the lower.
@group(0) @binding(1) var x: texture_storage_2d_array<rgba32uint, read>; // [B, T, row4]: bits of f32

// Rows are read from their first number on only.
fn row_of(image: u32, token: u32, offset4: u32) -> u32 {
    return (image << 16u) + token;
}

fn four(row: u32, d: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(textureLoad(x, vec2(d, row & 0xffffu), row >> 16u));
}
