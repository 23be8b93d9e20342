// linear.wgsl by cooperative matrices, of f16 with f32 sums. A workgroup is DOWN by ACROSS subgroups; each keeps HEIGHT by
// WIDTH sums, so that a matrix once loaded is used up to 4 times. Slabs of x and w pass through workgroup memory; while one
// is multiplied the next is fetched into registers.
#import shared/cooperative.wgsl
#import shared/epilogue.wgsl
#import shared/grid.wgsl

struct Params {
    rows: u32,     // M
    inner4: u32,   // K / 4
    columns4: u32, // columns / 4, rounded up
}

// Sums of a subgroup: 2 or 4 down, 2 or 4 across.
override HEIGHT: u32 = 2u;
override WIDTH: u32 = 2u;
// Depth of a slab, in matrices.
override DEPTH: u32 = 2u;
// Subgroups of a workgroup that make different sums.
override DOWN: u32 = 2u;
override ACROSS: u32 = 2u;
// DOWN * ACROSS times the most threads that a subgroup may have here. Where subgroups turn out smaller there are more than
// that: the others repeat what these do, but store nothing. Enough that 4 fetches of each fill a slab, and a multiple of the
// pairs of vec4s in a slab's rows.
override THREADS: u32 = 128u;
// K is a whole number of slabs.
override WHOLE: bool = true;

override DEPTH4: u32 = DEPTH * SIDE / 4u;
override DEPTH8: u32 = DEPTH * SIDE / 8u;
override SLAB_ROWS: u32 = DOWN * HEIGHT * SIDE;
override SLAB_COLUMNS4: u32 = ACROSS * WIDTH * SIDE / 4u;
override SLAB_COLUMNS8: u32 = ACROSS * WIDTH * SIDE / 8u;
// Rows of a slab are 16 bytes further apart than they are long, so that those of one matrix lie in different banks.
override LEFT_STRIDE8: u32 = DEPTH4 / 2u + 1u;
override RIGHT_STRIDE8: u32 = SLAB_COLUMNS4 / 2u + 1u;
override LEFT8: u32 = SLAB_ROWS * LEFT_STRIDE8;
override RIGHT8: u32 = 4u * DEPTH4 * RIGHT_STRIDE8;
// Sums on their way from matrix to y: a slot for each subgroup that stores, and one for all the others.
override SLOTS: u32 = DOWN * ACROSS + 1u;
const SLOT4: u32 = SIDE * SIDE / 4u;
override SUMS4: u32 = SLOTS * SLOT4;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<mat2x4<f16>>;     // [M, K/4] vec4s
@group(0) @binding(2) var<storage, read> w: array<mat2x4<f16>>;     // [K, columns4] vec4s, zero past the columns that exist
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;  // [columns4]
@group(0) @binding(4) var<storage, read_write> y: array<Output4>; // [M, columns4]
@group(0) @binding(5) var<storage, read> residual: array<vec4<f32>>; // [?, columns4], read with GATHER only
@group(0) @binding(6) var<storage, read> rows: array<u32>; // [M]: row of residual, read with GATHER only

// A thread's pairs of vec4s of a slab with rows of `width8`, neighbouring threads' next to each other: where its fetch of
// index `i` lies.
struct Spot {
    row: u32,
    column8: u32,
}

fn spot(i: u32, thread: u32, width8: u32) -> Spot {
    return Spot(thread / width8 + i * (THREADS / width8), thread % width8);
}

// Where a fetch comes from, in vec4s, less what changes from slab to slab. What lies past the last row or column is the last
// one once more, since that is never stored.
fn left_source(i: u32, thread: u32, first_row: u32) -> u32 {
    let at = spot(i, thread, DEPTH8);
    return min(first_row + at.row, params.rows - 1u) * params.inner4 + at.column8 * 2u;
}

// With the second of the two, since neither need be.
fn right_source(i: u32, thread: u32, first_column4: u32) -> vec2<u32> {
    let at = spot(i, thread, SLAB_COLUMNS8);
    let column4 = first_column4 + at.column8 * 2u;
    return at.row * params.columns4 + min(vec2(column4, column4 + 1u), vec2(params.columns4 - 1u));
}

fn left_exists(i: u32) -> bool {
    return i * THREADS < SLAB_ROWS * DEPTH8;
}

fn right_exists(i: u32) -> bool {
    return i * THREADS < 4u * DEPTH4 * SLAB_COLUMNS8;
}

fn fetch_left(i: u32, thread: u32, source: u32, first4: u32) -> mat2x4<f16> {
    if left_exists(i) {
        if WHOLE {
            return x[(source + first4) / 2u];
        }
        let column4 = first4 + spot(i, thread, DEPTH8).column8 * 2u;
        let at = source + first4;
        var value = mat2x4<f16>();
        if column4 < params.inner4 {
            value[0] = x[at / 2u][at % 2u];
        }
        if column4 + 1u < params.inner4 {
            value[1] = x[(at + 1u) / 2u][(at + 1u) % 2u];
        }
        return value;
    }
    return mat2x4<f16>();
}

fn fetch_right(i: u32, thread: u32, source: vec2<u32>, first4: u32) -> mat2x4<f16> {
    if right_exists(i) && (WHOLE || first4 * 4u + spot(i, thread, SLAB_COLUMNS8).row < params.inner4 * 4u) {
        let at = source + first4 * 4u * params.columns4;
        if params.columns4 % 2u == 0u {
            return w[at.x / 2u];
        }
        return mat2x4<f16>(w[at.x / 2u][at.x % 2u], w[at.y / 2u][at.y % 2u]);
    }
    return mat2x4<f16>();
}

fn stage_left(i: u32, thread: u32, value: mat2x4<f16>) {
    if left_exists(i) {
        let at = spot(i, thread, DEPTH8);
        put_left8(at.row * LEFT_STRIDE8 + at.column8, value);
    }
}

fn stage_right(i: u32, thread: u32, value: mat2x4<f16>) {
    if right_exists(i) {
        let at = spot(i, thread, SLAB_COLUMNS8);
        put_right8(at.row * RIGHT_STRIDE8 + at.column8, value);
    }
}

// A thread's place among those of its subgroup.
struct Lane {
    slot: u32,
    index: u32,
    count: u32,
}

fn store_sum(sum: Sum, lane: Lane, first_row: u32, first_column4: u32) {
    let slot = lane.slot * SLOT4;
    put_sum(sum, slot, SIDE / 4u);
    subgroupBarrier();
    if lane.slot < DOWN * ACROSS {
        for (var i = lane.index; i < SLOT4; i += lane.count) {
            let row = first_row + i / (SIDE / 4u);
            let column4 = first_column4 + i % (SIDE / 4u);
            store(row, residual_row(row), column4, take_sum(slot + i), bias_of(column4));
        }
    }
    subgroupBarrier();
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) index: u32,
    @builtin(subgroup_size) count: u32,
) {
    // Neighbouring workgroups take neighbouring columns of the same rows.
    let across = (params.columns4 + SLAB_COLUMNS4 - 1u) / SLAB_COLUMNS4;
    let place = grid_index(group, counts);
    let first_row = place / across * SLAB_ROWS;
    let first_column4 = place % across * SLAB_COLUMNS4;
    // What the grid has past the last row has nothing to add up. (To return would make all that follows depend on it.)
    let inner4 = select(0u, params.inner4, first_row < params.rows);
    let row = subgroup / ACROSS % DOWN * HEIGHT * SIDE;
    let column8 = subgroup % ACROSS * WIDTH * SIDE / 8u;

    var c00: Sum;
    var c01: Sum;
    var c02: Sum;
    var c03: Sum;
    var c10: Sum;
    var c11: Sum;
    var c12: Sum;
    var c13: Sum;
    var c20: Sum;
    var c21: Sum;
    var c22: Sum;
    var c23: Sum;
    var c30: Sum;
    var c31: Sum;
    var c32: Sum;
    var c33: Sum;

    let l0 = left_source(0u, thread, first_row);
    let l1 = left_source(1u, thread, first_row);
    let l2 = left_source(2u, thread, first_row);
    let l3 = left_source(3u, thread, first_row);
    let r0 = right_source(0u, thread, first_column4);
    let r1 = right_source(1u, thread, first_column4);
    let r2 = right_source(2u, thread, first_column4);
    let r3 = right_source(3u, thread, first_column4);
    var x0 = fetch_left(0u, thread, l0, 0u);
    var x1 = fetch_left(1u, thread, l1, 0u);
    var x2 = fetch_left(2u, thread, l2, 0u);
    var x3 = fetch_left(3u, thread, l3, 0u);
    var w0 = fetch_right(0u, thread, r0, 0u);
    var w1 = fetch_right(1u, thread, r1, 0u);
    var w2 = fetch_right(2u, thread, r2, 0u);
    var w3 = fetch_right(3u, thread, r3, 0u);
    for (var first4 = 0u; first4 < inner4; first4 += DEPTH4) {
        workgroupBarrier();
        stage_left(0u, thread, x0);
        stage_left(1u, thread, x1);
        stage_left(2u, thread, x2);
        stage_left(3u, thread, x3);
        stage_right(0u, thread, w0);
        stage_right(1u, thread, w1);
        stage_right(2u, thread, w2);
        stage_right(3u, thread, w3);
        workgroupBarrier();
        // After the last slab it comes once more, for nothing.
        let next4 = select(first4, first4 + DEPTH4, first4 + DEPTH4 < inner4);
        x0 = fetch_left(0u, thread, l0, next4);
        x1 = fetch_left(1u, thread, l1, next4);
        x2 = fetch_left(2u, thread, l2, next4);
        x3 = fetch_left(3u, thread, l3, next4);
        w0 = fetch_right(0u, thread, r0, next4);
        w1 = fetch_right(1u, thread, r1, next4);
        w2 = fetch_right(2u, thread, r2, next4);
        w3 = fetch_right(3u, thread, r3, next4);
        for (var k8 = 0u; k8 < DEPTH4 / 2u; k8 += SIDE / 8u) {
            let l = row * LEFT_STRIDE8 + k8;
            let r = k8 * 8u * RIGHT_STRIDE8 + column8;
            let a0 = load_left(l, LEFT_STRIDE8);
            let a1 = load_left(l + SIDE * LEFT_STRIDE8, LEFT_STRIDE8);
            let b0 = load_right(r, RIGHT_STRIDE8);
            let b1 = load_right(r + SIDE / 8u, RIGHT_STRIDE8);
            var a2: Left;
            var a3: Left;
            var b2: Right;
            var b3: Right;
            c00 = coopMultiplyAdd(a0, b0, c00);
            c01 = coopMultiplyAdd(a0, b1, c01);
            c10 = coopMultiplyAdd(a1, b0, c10);
            c11 = coopMultiplyAdd(a1, b1, c11);
            if WIDTH > 2u {
                b2 = load_right(r + 2u * SIDE / 8u, RIGHT_STRIDE8);
                b3 = load_right(r + 3u * SIDE / 8u, RIGHT_STRIDE8);
                c02 = coopMultiplyAdd(a0, b2, c02);
                c03 = coopMultiplyAdd(a0, b3, c03);
                c12 = coopMultiplyAdd(a1, b2, c12);
                c13 = coopMultiplyAdd(a1, b3, c13);
            }
            if HEIGHT > 2u {
                a2 = load_left(l + 2u * SIDE * LEFT_STRIDE8, LEFT_STRIDE8);
                a3 = load_left(l + 3u * SIDE * LEFT_STRIDE8, LEFT_STRIDE8);
                c20 = coopMultiplyAdd(a2, b0, c20);
                c21 = coopMultiplyAdd(a2, b1, c21);
                c30 = coopMultiplyAdd(a3, b0, c30);
                c31 = coopMultiplyAdd(a3, b1, c31);
            }
            if (HEIGHT > 2u) & (WIDTH > 2u) {
                c22 = coopMultiplyAdd(a2, b2, c22);
                c23 = coopMultiplyAdd(a2, b3, c23);
                c32 = coopMultiplyAdd(a3, b2, c32);
                c33 = coopMultiplyAdd(a3, b3, c33);
            }
        }
    }

    let lane = Lane(min(subgroup, DOWN * ACROSS), index, count);
    let i = first_row + row;
    let j = first_column4 + column8 * 2u;
    store_sum(c00, lane, i, j);
    store_sum(c01, lane, i, j + SIDE / 4u);
    store_sum(c10, lane, i + SIDE, j);
    store_sum(c11, lane, i + SIDE, j + SIDE / 4u);
    if WIDTH > 2u {
        store_sum(c02, lane, i, j + 2u * SIDE / 4u);
        store_sum(c03, lane, i, j + 3u * SIDE / 4u);
        store_sum(c12, lane, i + SIDE, j + 2u * SIDE / 4u);
        store_sum(c13, lane, i + SIDE, j + 3u * SIDE / 4u);
    }
    if HEIGHT > 2u {
        store_sum(c20, lane, i + 2u * SIDE, j);
        store_sum(c21, lane, i + 2u * SIDE, j + SIDE / 4u);
        store_sum(c30, lane, i + 3u * SIDE, j);
        store_sum(c31, lane, i + 3u * SIDE, j + SIDE / 4u);
    }
    if (HEIGHT > 2u) & (WIDTH > 2u) {
        store_sum(c22, lane, i + 2u * SIDE, j + 2u * SIDE / 4u);
        store_sum(c23, lane, i + 2u * SIDE, j + 3u * SIDE / 4u);
        store_sum(c32, lane, i + 3u * SIDE, j + 2u * SIDE / 4u);
        store_sum(c33, lane, i + 3u * SIDE, j + 3u * SIDE / 4u);
    }
}
