// y = x w + bias, then optionally an activation and the addition of y's former content or of gathered rows of
// `residual`. A thread keeps 8 rows by 2 vec4 columns in registers. For each 4 elements of K it loads 16 vec4s for 256
// multiply-adds, with no barrier and no workgroup memory. (With one vec4 column, 12 loads for 128 multiply-adds, it ran
// at 0.7 of the speed on llvmpipe, where the loads dominate.) This is the plain way of a dense layer, which runs on any
// device. All ways are compared with the same reference.
#import block/linear_params.wgsl
#import shared/epilogue.wgsl
#import shared/grid.wgsl
#import shared/input.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Input4>;        // [M, K/4]
@group(0) @binding(2) var<storage, read> w: array<Input4>;        // [K, columns4], zero past the columns that exist
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;  // [columns4]
@group(0) @binding(4) var<storage, read_write> y: array<Output4>; // [M, columns4]
@group(0) @binding(5) var<storage, read> residual: array<vec4<f32>>; // [?, columns4], read with GATHER only
@group(0) @binding(6) var<storage, read> rows: array<u32>; // [M]: row of residual, read with GATHER only

fn fma4(acc: vec4<f32>, a: vec4<f32>, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> vec4<f32> {
    return acc + a.x * w0 + a.y * w1 + a.z * w2 + a.w * w3;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    // Neighbouring threads take neighbouring columns. A thread's second column lies half a row after its first.
    let half = (params.columns4 + 1u) / 2u;
    let index = grid_index(group, counts) * 64u + thread;
    let column = index % half;
    let row = index / half * 8u;
    if row >= params.rows {
        return;
    }
    let second = min(column + half, params.columns4 - 1u);
    let jump = second - column;
    // Rows past the end read the last row; `store` drops them.
    let last = params.rows - 1u;
    let k4 = params.inner4;
    let x0 = min(row + 0u, last) * k4;
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
    var b0 = vec4<f32>(0.0);
    var b1 = vec4<f32>(0.0);
    var b2 = vec4<f32>(0.0);
    var b3 = vec4<f32>(0.0);
    var b4 = vec4<f32>(0.0);
    var b5 = vec4<f32>(0.0);
    var b6 = vec4<f32>(0.0);
    var b7 = vec4<f32>(0.0);
    var at = column;
    for (var k = 0u; k < k4; k++) {
        let w0 = widen(w[at + 0u * params.columns4]);
        let w1 = widen(w[at + 1u * params.columns4]);
        let w2 = widen(w[at + 2u * params.columns4]);
        let w3 = widen(w[at + 3u * params.columns4]);
        let v0 = widen(w[at + jump + 0u * params.columns4]);
        let v1 = widen(w[at + jump + 1u * params.columns4]);
        let v2 = widen(w[at + jump + 2u * params.columns4]);
        let v3 = widen(w[at + jump + 3u * params.columns4]);
        let c0 = widen(x[x0 + k]);
        a0 = fma4(a0, c0, w0, w1, w2, w3);
        b0 = fma4(b0, c0, v0, v1, v2, v3);
        let c1 = widen(x[x1 + k]);
        a1 = fma4(a1, c1, w0, w1, w2, w3);
        b1 = fma4(b1, c1, v0, v1, v2, v3);
        let c2 = widen(x[x2 + k]);
        a2 = fma4(a2, c2, w0, w1, w2, w3);
        b2 = fma4(b2, c2, v0, v1, v2, v3);
        let c3 = widen(x[x3 + k]);
        a3 = fma4(a3, c3, w0, w1, w2, w3);
        b3 = fma4(b3, c3, v0, v1, v2, v3);
        let c4 = widen(x[x4 + k]);
        a4 = fma4(a4, c4, w0, w1, w2, w3);
        b4 = fma4(b4, c4, v0, v1, v2, v3);
        let c5 = widen(x[x5 + k]);
        a5 = fma4(a5, c5, w0, w1, w2, w3);
        b5 = fma4(b5, c5, v0, v1, v2, v3);
        let c6 = widen(x[x6 + k]);
        a6 = fma4(a6, c6, w0, w1, w2, w3);
        b6 = fma4(b6, c6, v0, v1, v2, v3);
        let c7 = widen(x[x7 + k]);
        a7 = fma4(a7, c7, w0, w1, w2, w3);
        b7 = fma4(b7, c7, v0, v1, v2, v3);
        at += 4u * params.columns4;
    }
    let column_bias = bias_of(column);
    store(row + 0u, residual_row(row + 0u), column, a0, column_bias);
    store(row + 1u, residual_row(row + 1u), column, a1, column_bias);
    store(row + 2u, residual_row(row + 2u), column, a2, column_bias);
    store(row + 3u, residual_row(row + 3u), column, a3, column_bias);
    store(row + 4u, residual_row(row + 4u), column, a4, column_bias);
    store(row + 5u, residual_row(row + 5u), column, a5, column_bias);
    store(row + 6u, residual_row(row + 6u), column, a6, column_bias);
    store(row + 7u, residual_row(row + 7u), column, a7, column_bias);
    if second == column + half {
        let second_bias = bias_of(second);
        store(row + 0u, residual_row(row + 0u), second, b0, second_bias);
        store(row + 1u, residual_row(row + 1u), second, b1, second_bias);
        store(row + 2u, residual_row(row + 2u), second, b2, second_bias);
        store(row + 3u, residual_row(row + 3u), second, b3, second_bias);
        store(row + 4u, residual_row(row + 4u), second, b4, second_bias);
        store(row + 5u, residual_row(row + 5u), second, b5, second_bias);
        store(row + 6u, residual_row(row + 6u), second, b6, second_bias);
        store(row + 7u, residual_row(row + 7u), second, b7, second_bias);
    }
}
