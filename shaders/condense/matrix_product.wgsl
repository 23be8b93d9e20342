// y = p X Z + q A + r I for [N, N] matrices, one for each image. The kernel does every step of the dense connectivity.
// With p = 0 the product is skipped. A thread computes 4 by 4 elements.
struct Params {
    patches: u32, // N
    product: f32,
    addend: f32,
    identity: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;       // [B, N, N]
@group(0) @binding(2) var<storage, read> z: array<f32>;       // [B, N, N]
@group(0) @binding(3) var<storage, read> addend: array<f32>;  // [B, N, N]
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // [B, N, N]

fn store(base: u32, row: u32, column: u32, products: vec4<f32>) {
    let n = params.patches;
    if row >= n {
        return;
    }
    for (var i = 0u; i < 4u; i++) {
        if column + i < n {
            let at = base + row * n + column + i;
            var value = params.product * products[i] + params.addend * addend[at];
            if row == column + i {
                value += params.identity;
            }
            y[at] = value;
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
    let base = group.y * n * n;
    let row = tile / tiles * 4u;
    let column = tile % tiles * 4u;
    let last = n - 1u;
    let x0 = base + row * n;
    let x1 = base + min(row + 1u, last) * n;
    let x2 = base + min(row + 2u, last) * n;
    let x3 = base + min(row + 3u, last) * n;
    let c1 = min(column + 1u, last);
    let c2 = min(column + 2u, last);
    let c3 = min(column + 3u, last);
    var a0 = vec4<f32>(0.0);
    var a1 = vec4<f32>(0.0);
    var a2 = vec4<f32>(0.0);
    var a3 = vec4<f32>(0.0);
    if params.product != 0.0 {
        for (var k = 0u; k < n; k++) {
            let at = base + k * n;
            let b = vec4(z[at + column], z[at + c1], z[at + c2], z[at + c3]);
            a0 += x[x0 + k] * b;
            a1 += x[x1 + k] * b;
            a2 += x[x2 + k] * b;
            a3 += x[x3 + k] * b;
        }
    }
    store(base, row, column, a0);
    store(base, row + 1u, column, a1);
    store(base, row + 2u, column, a2);
    store(base, row + 3u, column, a3);
}
