// y = x w + bias, then nothing, GELU, or adding to what y already holds. A thread keeps 8 rows by 4 columns in
// registers: per 4 steps of k it loads 12 vec4 for 128 multiply-adds, with no barrier and no workgroup memory.
#import shared/gelu.wgsl
#import shared/grid.wgsl

struct Params {
    rows: u32,     // M
    inner4: u32,   // K / 4
    columns: u32,  // columns of y that exist
    columns4: u32, // vec4s in a row of w: columns / 4, rounded up
}

override GELU: bool = false;
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;    // [M, K/4]
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;    // [K, columns4], zero past `columns`
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // [columns4]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;    // [M, columns]

fn fma4(acc: vec4<f32>, a: vec4<f32>, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> vec4<f32> {
    return acc + a.x * w0 + a.y * w1 + a.z * w2 + a.w * w3;
}

fn store(row: u32, column4: u32, acc: vec4<f32>) {
    if row >= params.rows {
        return;
    }
    var value = acc + bias[column4];
    if GELU {
        value = gelu4(value);
    }
    let column = column4 * 4u;
    let index = row * params.columns + column;
    for (var i = 0u; i < 4u; i++) {
        if column + i < params.columns {
            y[index + i] = select(0.0, y[index + i], ACCUMULATE) + value[i];
        }
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = grid_index(group, counts) * 64u + thread;
    let column = index % params.columns4;
    let row = index / params.columns4 * 8u;
    if row >= params.rows {
        return;
    }
    // Rows past the end read the last row; `store` drops them.
    let last = params.rows - 1u;
    let k4 = params.inner4;
    let x0 = row * k4;
    let x1 = min(row + 1u, last) * k4;
    let x2 = min(row + 2u, last) * k4;
    let x3 = min(row + 3u, last) * k4;
    let x4 = min(row + 4u, last) * k4;
    let x5 = min(row + 5u, last) * k4;
    let x6 = min(row + 6u, last) * k4;
    let x7 = min(row + 7u, last) * k4;
    var a0 = vec4<f32>(0.0);
    var a1 = vec4<f32>(0.0);
    var a2 = vec4<f32>(0.0);
    var a3 = vec4<f32>(0.0);
    var a4 = vec4<f32>(0.0);
    var a5 = vec4<f32>(0.0);
    var a6 = vec4<f32>(0.0);
    var a7 = vec4<f32>(0.0);
    var at = column;
    for (var k = 0u; k < k4; k++) {
        let w0 = w[at];
        let w1 = w[at + params.columns4];
        let w2 = w[at + 2u * params.columns4];
        let w3 = w[at + 3u * params.columns4];
        a0 = fma4(a0, x[x0 + k], w0, w1, w2, w3);
        a1 = fma4(a1, x[x1 + k], w0, w1, w2, w3);
        a2 = fma4(a2, x[x2 + k], w0, w1, w2, w3);
        a3 = fma4(a3, x[x3 + k], w0, w1, w2, w3);
        a4 = fma4(a4, x[x4 + k], w0, w1, w2, w3);
        a5 = fma4(a5, x[x5 + k], w0, w1, w2, w3);
        a6 = fma4(a6, x[x6 + k], w0, w1, w2, w3);
        a7 = fma4(a7, x[x7 + k], w0, w1, w2, w3);
        at += 4u * params.columns4;
    }
    store(row, column, a0);
    store(row + 1u, column, a1);
    store(row + 2u, column, a2);
    store(row + 3u, column, a3);
    store(row + 4u, column, a4);
    store(row + 5u, column, a5);
    store(row + 6u, column, a6);
    store(row + 7u, column, a7);
}
