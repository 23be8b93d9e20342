// y[b, i, j] is the dot product of patch tokens i and j, or with DISTANCE their negated distance. Distances are
// computed from differences: computed from squares and dot products, the distance of near tokens would be rounding
// error. A thread computes 4 by 4 elements.
struct Params {
    prefix: u32,  // E
    patches: u32, // N
    width4: u32,  // D / 4
}

override DISTANCE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [B, E + N, D/4]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [B, N, N]

fn pairs(a: vec4<f32>, b0: vec4<f32>, b1: vec4<f32>, b2: vec4<f32>, b3: vec4<f32>) -> vec4<f32> {
    if DISTANCE {
        let d0 = a - b0;
        let d1 = a - b1;
        let d2 = a - b2;
        let d3 = a - b3;
        return vec4(dot(d0, d0), dot(d1, d1), dot(d2, d2), dot(d3, d3));
    }
    return vec4(dot(a, b0), dot(a, b1), dot(a, b2), dot(a, b3));
}

fn store(base: u32, row: u32, column: u32, values: vec4<f32>) {
    if row >= params.patches {
        return;
    }
    for (var i = 0u; i < 4u; i++) {
        if column + i < params.patches {
            y[base + row * params.patches + column + i] = select(values[i], -sqrt(values[i]), DISTANCE);
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let n = params.patches;
    let tiles = (n + 3u) / 4u;
    let tile = group.x * 64u + thread;
    if tile >= tiles * tiles {
        return;
    }
    let image = group.y;
    let row = tile / tiles * 4u;
    let column = tile % tiles * 4u;
    let origin = (image * (params.prefix + n) + params.prefix) * params.width4;
    // Tokens past the end read the last one; `store` drops them.
    let last = n - 1u;
    let r0 = origin + row * params.width4;
    let r1 = origin + min(row + 1u, last) * params.width4;
    let r2 = origin + min(row + 2u, last) * params.width4;
    let r3 = origin + min(row + 3u, last) * params.width4;
    let c0 = origin + column * params.width4;
    let c1 = origin + min(column + 1u, last) * params.width4;
    let c2 = origin + min(column + 2u, last) * params.width4;
    let c3 = origin + min(column + 3u, last) * params.width4;
    var s0 = vec4<f32>(0.0);
    var s1 = vec4<f32>(0.0);
    var s2 = vec4<f32>(0.0);
    var s3 = vec4<f32>(0.0);
    for (var d = 0u; d < params.width4; d++) {
        let a0 = x[r0 + d];
        let a1 = x[r1 + d];
        let a2 = x[r2 + d];
        let a3 = x[r3 + d];
        let b0 = x[c0 + d];
        let b1 = x[c1 + d];
        let b2 = x[c2 + d];
        let b3 = x[c3 + d];
        s0 += pairs(a0, b0, b1, b2, b3);
        s1 += pairs(a1, b0, b1, b2, b3);
        s2 += pairs(a2, b0, b1, b2, b3);
        s3 += pairs(a3, b0, b1, b2, b3);
    }
    let base = image * n * n;
    store(base, row, column, s0);
    store(base, row + 1u, column, s1);
    store(base, row + 2u, column, s2);
    store(base, row + 3u, column, s3);
}
