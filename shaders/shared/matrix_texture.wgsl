// What matrix_buffer.wgsl reads, from textures: a layer for each image, a texel for four columns. A row is known by its
// image in the upper half and its number in the lower.
#import shared/columns.wgsl

@group(0) @binding(1) var w: texture_storage_2d_array<rgba32uint, read>; // [B, rows, stride / 4]: bits of f32

override ALIGNED: bool = true; // a texel is a vec4 always
const TEXELS: bool = true;

fn row_of(image: u32, rows: u32, i: u32) -> u32 {
    return (image << 16u) + i;
}

fn row_step() -> u32 {
    return 1u;
}

fn texel(row: u32, quad: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(textureLoad(w, vec2(quad, row & 0xffffu), row >> 16u));
}

fn element(row: u32, column: u32) -> f32 {
    let at = params.shift + column;
    return texel(row, at / 4u)[at % 4u];
}

fn four(row: u32, columns: Columns) -> vec4<f32> {
    return texel(row, columns.quad);
}
