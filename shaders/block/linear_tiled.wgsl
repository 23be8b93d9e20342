// linear.wgsl for GPUs, where workgroup memory is near and storage is far. 64 threads compute 64 (or 32) rows by 64
// columns, in steps of 16 along K. Both operands pass through workgroup memory, so that each is read from storage once
// for 64 rows or columns, not once for 8. All that a step needs is fetched into registers at once; with AHEAD, this
// happens while the step before is multiplied. A thread computes every 8th row and two vec4 columns that are 8 apart,
// so that neighbouring threads read neighbouring columns. Rows of x are 5 vec4s apart, not 4, so that the rows that 4
// neighbouring groups of 8 threads read fall into different banks.
#import block/linear_params.wgsl
#import shared/epilogue.wgsl
#import shared/grid.wgsl
#import shared/input.wgsl

// Rows of a thread: 4 for products of few rows, 8 for products of many.
override ROWS: u32 = 8u;
// Whether a step is fetched one step early, which needs more registers.
override AHEAD: bool = true;

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

// Four rows, 8 apart from row `first` on, by the thread's two columns: four elements of K.
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

// This is written out, because an index that is not a constant could keep the sums in memory instead of registers.
fn store_rows(row: u32, columns: vec2<u32>, tile: ptr<function, Tile>, biases: array<vec4<f32>, 2>) {
    store_two(row + 0u, columns, (*tile)[0], (*tile)[4], biases);
    store_two(row + 8u, columns, (*tile)[1], (*tile)[5], biases);
    store_two(row + 16u, columns, (*tile)[2], (*tile)[6], biases);
    store_two(row + 24u, columns, (*tile)[3], (*tile)[7], biases);
}

// A thread's vec4 number i of a step's rows of x; the step begins at vec4 k0 of K. Elements past K are zero in x and in
// w, so that they add nothing; rows and columns past the end repeat the last one.
fn fetch_x(i: u32, thread: u32, row0: u32, k0: u32) -> vec4<f32> {
    let at = thread + 64u * i;
    let k = k0 + at % 4u;
    let source = min(row0 + at / 4u, params.rows - 1u) * params.inner4 + min(k, params.inner4 - 1u);
    return select(vec4(0.0), widen(x[source]), k < params.inner4);
}

fn fetch_w(i: u32, thread: u32, column0: u32, k0: u32) -> vec4<f32> {
    let at = thread + 64u * i;
    let k = 4u * k0 + at / 16u;
    let source = min(k, 4u * params.inner4 - 1u) * params.columns4 + min(column0 + at % 16u, params.columns4 - 1u);
    return select(vec4(0.0), widen(w[source]), k < 4u * params.inner4);
}

fn stage_x(i: u32, thread: u32, value: vec4<f32>) {
    let at = thread + 64u * i;
    x_tile[at / 4u * STRIDE + at % 4u] = value;
}

// The vec4s that a thread fetches for a step.
struct Part {
    x0: vec4<f32>,
    x1: vec4<f32>,
    x2: vec4<f32>, // x2 and x3 are used with 8 ROWS only
    x3: vec4<f32>,
    w0: vec4<f32>,
    w1: vec4<f32>,
    w2: vec4<f32>,
    w3: vec4<f32>,
}

fn fetch(thread: u32, row0: u32, column0: u32, k0: u32) -> Part {
    var part: Part;
    part.x0 = fetch_x(0u, thread, row0, k0);
    part.x1 = fetch_x(1u, thread, row0, k0);
    if ROWS > 4u {
        part.x2 = fetch_x(2u, thread, row0, k0);
        part.x3 = fetch_x(3u, thread, row0, k0);
    }
    part.w0 = fetch_w(0u, thread, column0, k0);
    part.w1 = fetch_w(1u, thread, column0, k0);
    part.w2 = fetch_w(2u, thread, column0, k0);
    part.w3 = fetch_w(3u, thread, column0, k0);
    return part;
}

fn stage(thread: u32, part: Part) {
    stage_x(0u, thread, part.x0);
    stage_x(1u, thread, part.x1);
    if ROWS > 4u {
        stage_x(2u, thread, part.x2);
        stage_x(3u, thread, part.x3);
    }
    w_tile[thread] = part.w0;
    w_tile[64u + thread] = part.w1;
    w_tile[128u + thread] = part.w2;
    w_tile[192u + thread] = part.w3;
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
    // A folded grid may have a few workgroups too many. The condition is the same for the whole workgroup.
    if row0 >= params.rows {
        return;
    }
    let column = thread % 8u;
    let row = thread / 8u;
    var top: Tile;
    var bottom: Tile;
    var next: Part;
    if AHEAD {
        next = fetch(thread, row0, column0, 0u);
    }
    for (var k0 = 0u; k0 < params.inner4; k0 += 4u) {
        if !AHEAD {
            next = fetch(thread, row0, column0, k0);
        }
        workgroupBarrier();
        stage(thread, next);
        workgroupBarrier();
        if AHEAD {
            // Past the last step this fetches zeros.
            next = fetch(thread, row0, column0, k0 + 4u);
        }
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
