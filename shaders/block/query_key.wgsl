// y[b, h, i, j] = scale * q[b, i, h] . k[b, j, h] (+ ln(size[b, j]) with PROPORTIONAL). These are attention logits;
// with unit keys as both operands, they are cosines. A thread computes 4 queries by 4 keys. With SYMMETRIC, queries and
// keys are the same elements: threads below the diagonal return at once, and the other threads store each product on
// both sides of the diagonal.
#import block/query_key_params.wgsl
#import shared/input.wgsl

override PROPORTIONAL: bool = false;
override SYMMETRIC: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Input4>;        // [B, T, row4]
@group(0) @binding(2) var<storage, read> sizes: array<f32>;       // [B, T], read with PROPORTIONAL only
@group(0) @binding(3) var<storage, read_write> y: array<f32>;     // [B, H, T, stride]

fn store(base: u32, image: u32, query: u32, key: u32, products: vec4<f32>) {
    if query >= params.tokens {
        return;
    }
    for (var i = 0u; i < 4u; i++) {
        if key + i < params.tokens {
            var value = products[i] * params.scale;
            if PROPORTIONAL {
                value += log(sizes[image * params.tokens + key + i]);
            }
            y[base + query * params.stride + key + i] = value;
            if SYMMETRIC {
                y[base + (key + i) * params.stride + query] = value;
            }
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let tiles = (params.tokens + 3u) / 4u;
    let tile = group.x * 64u + thread;
    if tile >= tiles * tiles {
        return;
    }
    let head = group.y;
    let image = group.z;
    let query = tile / tiles * 4u;
    let key = tile % tiles * 4u;
    if SYMMETRIC && key < query {
        return;
    }
    let last = params.tokens - 1u;
    let origin = image * params.tokens * params.row4 + head * params.head4;
    let keys = origin + params.key_offset4;
    let q0 = origin + query * params.row4;
    let q1 = origin + min(query + 1u, last) * params.row4;
    let q2 = origin + min(query + 2u, last) * params.row4;
    let q3 = origin + min(query + 3u, last) * params.row4;
    let k0 = keys + key * params.row4;
    let k1 = keys + min(key + 1u, last) * params.row4;
    let k2 = keys + min(key + 2u, last) * params.row4;
    let k3 = keys + min(key + 3u, last) * params.row4;
    var a0 = vec4<f32>(0.0);
    var a1 = vec4<f32>(0.0);
    var a2 = vec4<f32>(0.0);
    var a3 = vec4<f32>(0.0);
    for (var d = 0u; d < params.head4; d++) {
        let b0 = widen(x[k0 + d]);
        let b1 = widen(x[k1 + d]);
        let b2 = widen(x[k2 + d]);
        let b3 = widen(x[k3 + d]);
        let c0 = widen(x[q0 + d]);
        let c1 = widen(x[q1 + d]);
        let c2 = widen(x[q2 + d]);
        let c3 = widen(x[q3 + d]);
        a0 += vec4(dot(c0, b0), dot(c0, b1), dot(c0, b2), dot(c0, b3));
        a1 += vec4(dot(c1, b0), dot(c1, b1), dot(c1, b2), dot(c1, b3));
        a2 += vec4(dot(c2, b0), dot(c2, b1), dot(c2, b2), dot(c2, b3));
        a3 += vec4(dot(c3, b0), dot(c3, b1), dot(c3, b2), dot(c3, b3));
    }
    let base = (image * params.heads + head) * params.tokens * params.stride;
    store(base, image, query, key, a0);
    store(base, image, query + 1u, key, a1);
    store(base, image, query + 2u, key, a2);
    store(base, image, query + 3u, key, a3);
}
