// linear.wgsl for GPUs, whose workgroup memory is close and whose storage is far: 64 threads make 64 (or 32) rows by 64
// columns, in steps of 16 along K. Both operands come through workgroup memory, so each is read from storage once for 64
// rows or columns instead of 8. A thread makes every 8th row and two vec4 columns, 8 apart: its neighbours' reads lie side
// by side. Rows of x are 5 vec4s apart, not 4, so that those of 4 neighbouring threads fall into different banks.
#import shared/epilogue.wgsl
#import shared/grid.wgsl
#import shared/input.wgsl

struct Params {
    rows: u32,     // M
    inner4: u32,   // K / 4
    columns4: u32, // columns / 4, rounded up
}

// Rows of a thread: 4 or 8, for products of few rows and of many.
override ROWS: u32 = 8u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Input4>;        // [M, K/4]
@group(0) @binding(2) var<storage, read> w: array<Input4>;        // [K, columns4], zero past the columns that exist
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;  // [columns4]
@group(0) @binding(4) var<storage, read_write> y: array<Output4>; // [M, columns4]
@group(0) @binding(5) var<storage, read> residual: array<vec4<f32>>; // [?, columns4], read with GATHER only
@group(0) @binding(6) var<storage, read> rows: array<u32>; // [M]: row of residual, read with GATHER only

const STRIDE: u32 = 5u;
var<workgroup> x_tile: array<vec4<f32>, 320>; // [64, STRIDE]
var<workgroup> w_tile: array<vec4<f32>, 256>; // [16, 16]

alias Tile = array<vec4<f32>, 8>;

fn fma4(acc: vec4<f32>, a: vec4<f32>, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> vec4<f32> {
    return acc + a.x * w0 + a.y * w1 + a.z * w2 + a.w * w3;
}

// Four rows by two columns, from row `first` of this thread's on: 16 steps of k.
fn multiply(a: ptr<function, Tile>, first: u32, column: u32, k: u32) {
    let w0 = w_tile[(4u * k + 0u) * 16u + column];
    let w1 = w_tile[(4u * k + 1u) * 16u + column];
    let w2 = w_tile[(4u * k + 2u) * 16u + column];
    let w3 = w_tile[(4u * k + 3u) * 16u + column];
    let v0 = w_tile[(4u * k + 0u) * 16u + column + 8u];
    let v1 = w_tile[(4u * k + 1u) * 16u + column + 8u];
    let v2 = w_tile[(4u * k + 2u) * 16u + column + 8u];
    let v3 = w_tile[(4u * k + 3u) * 16u + column + 8u];
    let x0 = x_tile[(first + 8u * 0u) * STRIDE + k];
    (*a)[0] = fma4((*a)[0], x0, w0, w1, w2, w3);
    (*a)[0 + 4] = fma4((*a)[0 + 4], x0, v0, v1, v2, v3);
    let x1 = x_tile[(first + 8u * 1u) * STRIDE + k];
    (*a)[1] = fma4((*a)[1], x1, w0, w1, w2, w3);
    (*a)[1 + 4] = fma4((*a)[1 + 4], x1, v0, v1, v2, v3);
    let x2 = x_tile[(first + 8u * 2u) * STRIDE + k];
    (*a)[2] = fma4((*a)[2], x2, w0, w1, w2, w3);
    (*a)[2 + 4] = fma4((*a)[2 + 4], x2, v0, v1, v2, v3);
    let x3 = x_tile[(first + 8u * 3u) * STRIDE + k];
    (*a)[3] = fma4((*a)[3], x3, w0, w1, w2, w3);
    (*a)[3 + 4] = fma4((*a)[3 + 4], x3, v0, v1, v2, v3);
}

// Written out: an index that is not a constant could keep the sums in memory instead of registers.
fn store_rows(row: u32, columns: vec2<u32>, tile: ptr<function, Tile>, biases: array<vec4<f32>, 2>) {
    store_two(row + 0u, columns, (*tile)[0], (*tile)[4], biases);
    store_two(row + 8u, columns, (*tile)[1], (*tile)[5], biases);
    store_two(row + 16u, columns, (*tile)[2], (*tile)[6], biases);
    store_two(row + 24u, columns, (*tile)[3], (*tile)[7], biases);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let across = (params.columns4 + 15u) / 16u;
    let unit = grid_index(group, counts);
    let column0 = unit % across * 16u;
    let row0 = unit / across * 8u * ROWS;
    // A folded grid may have a few workgroups too many. The same for the whole workgroup.
    if row0 >= params.rows {
        return;
    }
    let column = thread % 8u;
    let row = thread / 8u;
    var top: Tile;
    var bottom: Tile;
    for (var k0 = 0u; k0 < params.inner4; k0 += 4u) {
        workgroupBarrier();
        // What lies past K is zero in both, so it adds nothing; rows and columns past the end repeat the last.
        for (var i = thread; i < 32u * ROWS; i += 64u) {
            let k = k0 + i % 4u;
            let at = min(row0 + i / 4u, params.rows - 1u) * params.inner4 + min(k, params.inner4 - 1u);
            x_tile[i / 4u * STRIDE + i % 4u] = select(vec4(0.0), widen(x[at]), k < params.inner4);
        }
        for (var i = thread; i < 256u; i += 64u) {
            let k = 4u * k0 + i / 16u;
            let at = min(k, 4u * params.inner4 - 1u) * params.columns4 + min(column0 + i % 16u, params.columns4 - 1u);
            w_tile[i] = select(vec4(0.0), widen(w[at]), k < 4u * params.inner4);
        }
        workgroupBarrier();
        for (var k = 0u; k < 4u; k++) {
            multiply(&top, row, column, k);
            if ROWS > 4u {
                multiply(&bottom, row + 32u, column, k);
            }
        }
    }
    let columns = column0 + column + vec2(0u, 8u);
    let biases = array(bias_of(columns.x), bias_of(columns.y));
    store_rows(row0 + row, columns, &top, biases);
    if ROWS > 4u {
        store_rows(row0 + row + 32u, columns, &bottom, biases);
    }
}
