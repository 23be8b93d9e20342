// What made_buffer.wgsl writes, into textures: a layer for each image, a texel for four columns.
@group(0) @binding(4) var w: texture_storage_2d_array<rgba32uint, write>; // [B, N, stride / 4]: bits of f32

const TEXELS: bool = true;

fn put(image: u32, rows: u32, i: u32, columns: Columns, value: vec4<f32>) {
    if columns.exists {
        textureStore(w, vec2(columns.quad, i), image, bitcast<vec4<u32>>(value));
    }
}
