// y[b, i, h] = sum over j of probs[b, h, i, j] v[b, j, h]. A thread computes 8 queries by 4 dimensions. Values past the
// last key are copies of the last one; they add nothing, because columns of probs past T hold 0.
#import block/attention_mix_params.wgsl
#import shared/input.wgsl
#import shared/output.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> probs: array<vec4<f32>>;   // [B, H, T, stride4]
@group(0) @binding(2) var<storage, read> qkv: array<Input4>;        // [B, T, row4]
@group(0) @binding(3) var<storage, read_write> y: array<Output4>;   // [B, T, H * head4]

fn fma4(acc: vec4<f32>, p: vec4<f32>, v0: vec4<f32>, v1: vec4<f32>, v2: vec4<f32>, v3: vec4<f32>) -> vec4<f32> {
    return acc + p.x * v0 + p.y * v1 + p.z * v2 + p.w * v3;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let index = group.x * 64u + thread;
    let element = index % params.head4;
    let row = index / params.head4 * 8u;
    if row >= params.tokens {
        return;
    }
    let head = group.y;
    let image = group.z;
    let last = params.tokens - 1u;
    let values = image * params.tokens * params.row4 + params.value_offset4 + head * params.head4 + element;
    let base = (image * params.heads + head) * params.tokens * params.stride4;
    let p0 = base + row * params.stride4;
    let p1 = base + min(row + 1u, last) * params.stride4;
    let p2 = base + min(row + 2u, last) * params.stride4;
    let p3 = base + min(row + 3u, last) * params.stride4;
    let p4 = base + min(row + 4u, last) * params.stride4;
    let p5 = base + min(row + 5u, last) * params.stride4;
    let p6 = base + min(row + 6u, last) * params.stride4;
    let p7 = base + min(row + 7u, last) * params.stride4;
    var a0 = vec4<f32>(0.0);
    var a1 = vec4<f32>(0.0);
    var a2 = vec4<f32>(0.0);
    var a3 = vec4<f32>(0.0);
    var a4 = vec4<f32>(0.0);
    var a5 = vec4<f32>(0.0);
    var a6 = vec4<f32>(0.0);
    var a7 = vec4<f32>(0.0);
    for (var j = 0u; j < params.stride4; j++) {
        let key = j * 4u;
        let v0 = widen(qkv[values + min(key, last) * params.row4]);
        let v1 = widen(qkv[values + min(key + 1u, last) * params.row4]);
        let v2 = widen(qkv[values + min(key + 2u, last) * params.row4]);
        let v3 = widen(qkv[values + min(key + 3u, last) * params.row4]);
        a0 = fma4(a0, probs[p0 + j], v0, v1, v2, v3);
        a1 = fma4(a1, probs[p1 + j], v0, v1, v2, v3);
        a2 = fma4(a2, probs[p2 + j], v0, v1, v2, v3);
        a3 = fma4(a3, probs[p3 + j], v0, v1, v2, v3);
        a4 = fma4(a4, probs[p4 + j], v0, v1, v2, v3);
        a5 = fma4(a5, probs[p5 + j], v0, v1, v2, v3);
        a6 = fma4(a6, probs[p6 + j], v0, v1, v2, v3);
        a7 = fma4(a7, probs[p7 + j], v0, v1, v2, v3);
    }
    let width = params.heads * params.head4;
    let out = (image * params.tokens + row) * width + head * params.head4 + element;
    let rest = params.tokens - row;
    y[out] = narrow(a0);
    if rest > 1u { y[out + width] = narrow(a1); }
    if rest > 2u { y[out + 2u * width] = narrow(a2); }
    if rest > 3u { y[out + 3u * width] = narrow(a3); }
    if rest > 4u { y[out + 4u * width] = narrow(a4); }
    if rest > 5u { y[out + 5u * width] = narrow(a5); }
    if rest > 6u { y[out + 6u * width] = narrow(a6); }
    if rest > 7u { y[out + 7u * width] = narrow(a7); }
}
