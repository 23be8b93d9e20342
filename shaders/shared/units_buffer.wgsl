// Unit keys as they are written, in a buffer. The shader that imports this binds `params`: head4, vec4s of a key.
#import shared/output.wgsl

@group(0) @binding(2) var<storage, read_write> keys: array<Output4>; // [B, N, head4]

// Four numbers of an image's key `i`, of `patches`.
fn put(image: u32, patches: u32, i: u32, d: u32, value: vec4<f32>) {
    keys[(image * patches + i) * params.head4 + d] = narrow(value);
}
