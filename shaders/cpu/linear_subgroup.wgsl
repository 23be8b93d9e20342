// linear.wgsl for devices with subgroups of at least 8 threads on which loads cost more than arithmetic (on llvmpipe, a
// load is a loop over its lanes). A subgroup computes 24 rows by two vec4 columns for each of its threads. x is loaded
// once for the subgroup: lane l loads row l and broadcasts it. With 8 lanes, a thread makes 7 loads for 768
// multiply-adds, or 11 in f32; linear.wgsl would make 48.
#import block/linear_params.wgsl
#import shared/epilogue.wgsl
#import shared/grid.wgsl
#import shared/input.wgsl
#import cpu/weights.wgsl

// Rows of a subgroup.
const ROWS: u32 = 24u;
// Threads of a workgroup, in whole subgroups.
override THREADS: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Input4>;        // [M, K/4]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;  // [columns4]
@group(0) @binding(4) var<storage, read_write> y: array<Output4>; // [M, columns4]
@group(0) @binding(5) var<storage, read> residual: array<vec4<f32>>; // [?, columns4], read with GATHER only
@group(0) @binding(6) var<storage, read> rows: array<u32>; // [M]: row of residual, read with GATHER only

// Sums of 8 rows, with two vec4 columns each.
alias Tile = array<vec4<f32>, 16>;

// The weights of four elements of K in the thread's two columns.
struct Weights {
    a0: vec4<f32>,
    a1: vec4<f32>,
    a2: vec4<f32>,
    a3: vec4<f32>,
    b0: vec4<f32>,
    b1: vec4<f32>,
    b2: vec4<f32>,
    b3: vec4<f32>,
}

fn fma4(acc: vec4<f32>, a: vec4<f32>, w0: vec4<f32>, w1: vec4<f32>, w2: vec4<f32>, w3: vec4<f32>) -> vec4<f32> {
    return acc + a.x * w0 + a.y * w1 + a.z * w2 + a.w * w3;
}

// `own` is a vec4 of x in this lane's row.
fn multiply(tile: ptr<function, Tile>, own: vec4<f32>, w: Weights) {
    let x0 = subgroupBroadcast(own, 0u);
    (*tile)[0] = fma4((*tile)[0], x0, w.a0, w.a1, w.a2, w.a3);
    (*tile)[1] = fma4((*tile)[1], x0, w.b0, w.b1, w.b2, w.b3);
    let x1 = subgroupBroadcast(own, 1u);
    (*tile)[2] = fma4((*tile)[2], x1, w.a0, w.a1, w.a2, w.a3);
    (*tile)[3] = fma4((*tile)[3], x1, w.b0, w.b1, w.b2, w.b3);
    let x2 = subgroupBroadcast(own, 2u);
    (*tile)[4] = fma4((*tile)[4], x2, w.a0, w.a1, w.a2, w.a3);
    (*tile)[5] = fma4((*tile)[5], x2, w.b0, w.b1, w.b2, w.b3);
    let x3 = subgroupBroadcast(own, 3u);
    (*tile)[6] = fma4((*tile)[6], x3, w.a0, w.a1, w.a2, w.a3);
    (*tile)[7] = fma4((*tile)[7], x3, w.b0, w.b1, w.b2, w.b3);
    let x4 = subgroupBroadcast(own, 4u);
    (*tile)[8] = fma4((*tile)[8], x4, w.a0, w.a1, w.a2, w.a3);
    (*tile)[9] = fma4((*tile)[9], x4, w.b0, w.b1, w.b2, w.b3);
    let x5 = subgroupBroadcast(own, 5u);
    (*tile)[10] = fma4((*tile)[10], x5, w.a0, w.a1, w.a2, w.a3);
    (*tile)[11] = fma4((*tile)[11], x5, w.b0, w.b1, w.b2, w.b3);
    let x6 = subgroupBroadcast(own, 6u);
    (*tile)[12] = fma4((*tile)[12], x6, w.a0, w.a1, w.a2, w.a3);
    (*tile)[13] = fma4((*tile)[13], x6, w.b0, w.b1, w.b2, w.b3);
    let x7 = subgroupBroadcast(own, 7u);
    (*tile)[14] = fma4((*tile)[14], x7, w.a0, w.a1, w.a2, w.a3);
    (*tile)[15] = fma4((*tile)[15], x7, w.b0, w.b1, w.b2, w.b3);
}

// The loop is written out. If a driver did not unroll it, its index would not be a constant, and the sums would lie in
// memory instead of registers, in the loop over k too.
fn store_rows(row: u32, columns: vec2<u32>, tile: ptr<function, Tile>, biases: array<vec4<f32>, 2>) {
    store_two(row + 0u, columns, (*tile)[0], (*tile)[1], biases);
    store_two(row + 1u, columns, (*tile)[2], (*tile)[3], biases);
    store_two(row + 2u, columns, (*tile)[4], (*tile)[5], biases);
    store_two(row + 3u, columns, (*tile)[6], (*tile)[7], biases);
    store_two(row + 4u, columns, (*tile)[8], (*tile)[9], biases);
    store_two(row + 5u, columns, (*tile)[10], (*tile)[11], biases);
    store_two(row + 6u, columns, (*tile)[12], (*tile)[13], biases);
    store_two(row + 7u, columns, (*tile)[14], (*tile)[15], biases);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_size) lanes: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let unit = grid_index(group, counts) * subgroups + subgroup;
    let columns4 = params.columns4;
    let across = (columns4 + 2u * lanes - 1u) / (2u * lanes);
    let column = (unit % across * lanes + lane) * 2u;
    let second = column + 1u;
    let row = unit / across * ROWS;
    // The condition is the same for the whole subgroup, so that all of it takes part in the broadcasts below or none of
    // it.
    if row >= params.rows {
        return;
    }
    // Columns and rows past the end read the last ones, and `store` drops them.
    let read = existing(column);
    let last = params.rows - 1u;
    let own = row + (lane & 7u);
    let x0 = min(own, last) * params.inner4;
    let x1 = min(own + 8u, last) * params.inner4;
    let x2 = min(own + 16u, last) * params.inner4;
    var tile0: Tile;
    var tile1: Tile;
    var tile2: Tile;
    for (var k = 0u; k < params.inner4; k++) {
        let p0 = pair(4u * k, read);
        let p1 = pair(4u * k + 1u, read);
        let p2 = pair(4u * k + 2u, read);
        let p3 = pair(4u * k + 3u, read);
        let weights = Weights(p0.a, p1.a, p2.a, p3.a, p0.b, p1.b, p2.b, p3.b);
        multiply(&tile0, widen(x[x0 + k]), weights);
        multiply(&tile1, widen(x[x1 + k]), weights);
        multiply(&tile2, widen(x[x2 + k]), weights);
    }
    let columns = vec2(column, second);
    let biases = array(bias_of(column), bias_of(second));
    store_rows(row, columns, &tile0, biases);
    store_rows(row + 8u, columns, &tile1, biases);
    store_rows(row + 16u, columns, &tile2, biases);
}
