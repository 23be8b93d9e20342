// What units_buffer.wgsl writes, into textures: a layer for each image, a texel for four numbers of f32.
@group(0) @binding(2) var keys: texture_storage_2d_array<rgba32uint, write>; // [B, N, head4]: bits of f32

fn put(image: u32, patches: u32, i: u32, d: u32, value: vec4<f32>) {
    textureStore(keys, vec2(d, i), image, bitcast<vec4<u32>>(value));
}
