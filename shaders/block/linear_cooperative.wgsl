// linear.wgsl by cooperative matrices, of f16 with f32 sums. A workgroup is 2 by 2 subgroups; each keeps a grid of 4 by 4
// sums (2 rows of them where not TALL, 2 columns where not WIDE), so that a matrix once loaded is used up to 4 times.
// Slabs of x and w pass through workgroup memory, with zeros past their edges. The next slab is fetched into registers
// while this one is multiplied, since there is no room for two.
#import shared/cooperative.wgsl
#import shared/element.wgsl
#import shared/gelu.wgsl
#import shared/grid.wgsl

struct Params {
    rows: u32,     // M
    inner4: u32,   // K / 4
    columns4: u32, // columns / 4, rounded up
}

override GELU: bool = false;
override ACCUMULATE: bool = false;
override GATHER: bool = false;
override TALL: bool = true;
override WIDE: bool = true;
// SUBGROUPS times the most threads that a subgroup may have here. Where subgroups turn out smaller there are more than
// SUBGROUPS: the others repeat what these do, but store nothing. At least SIDE * SIDE / 2, for 4 fetches to fill a slab.
override THREADS: u32 = 128u;

const SUBGROUPS: u32 = 4u;
// Rows of a slab are this many vec4s apart from where they would be, so that those of one matrix lie in different banks.
const PAD4: u32 = 2u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f16>>;    // [M, K/4]
@group(0) @binding(2) var<storage, read> w: array<vec4<f16>>;    // [K, columns4], zero past the columns that exist
@group(0) @binding(3) var<storage, read> bias: array<f32>;       // [columns4 * 4]
@group(0) @binding(4) var<storage, read_write> y: array<Element>; // [M, columns4 * 4]
@group(0) @binding(5) var<storage, read> residual: array<f32>; // [?, columns4 * 4], read with GATHER only
@group(0) @binding(6) var<storage, read> rows: array<u32>; // [M]: row of residual, read with GATHER only

// A sum on its way from matrix to y: one slot for each subgroup that stores, and one for all the others.
var<workgroup> sums: array<f32, (SUBGROUPS + 1u) * SIDE * SIDE>;

// What a workgroup works on; all of it is known when the pipeline is made.
struct Block {
    rows: u32,     // of a subgroup
    columns4: u32, // of a subgroup, by fours
    depth4: u32,   // of a slab, by fours
}

fn block() -> Block {
    return Block(
        select(2u, 4u, TALL) * SIDE,
        select(2u, 4u, WIDE) * SIDE / 4u,
        select(2u, 1u, TALL | WIDE) * SIDE / 4u,
    );
}

fn fetch_left(at: u32, first_row: u32, first4: u32) -> vec4<f16> {
    let depth4 = block().depth4;
    let row = first_row + at / depth4;
    let k4 = first4 + at % depth4;
    if at < 2u * block().rows * depth4 && row < params.rows && k4 < params.inner4 {
        return x[row * params.inner4 + k4];
    }
    return vec4<f16>();
}

fn fetch_right(at: u32, first4: u32, first_column4: u32) -> vec4<f16> {
    let columns4 = 2u * block().columns4;
    let k = first4 * 4u + at / columns4;
    let column4 = first_column4 + at % columns4;
    if at < 4u * block().depth4 * columns4 && k < params.inner4 * 4u && column4 < params.columns4 {
        return w[k * params.columns4 + column4];
    }
    return vec4<f16>();
}

fn stage_left(at: u32, value: vec4<f16>) {
    let depth4 = block().depth4;
    if at < 2u * block().rows * depth4 {
        put_left(at / depth4 * (depth4 + PAD4) + at % depth4, value);
    }
}

fn stage_right(at: u32, value: vec4<f16>) {
    let columns4 = 2u * block().columns4;
    if at < 4u * block().depth4 * columns4 {
        put_right(at / columns4 * (columns4 + PAD4) + at % columns4, value);
    }
}

// A thread's place among those of its subgroup.
struct Lane {
    slot: u32,
    index: u32,
    count: u32,
}

fn store(sum: Sum, lane: Lane, first_row: u32, first_column: u32) {
    let slot = lane.slot * SIDE * SIDE;
    let corner = &sums[slot];
    coopStoreT(sum, corner, SIDE);
    subgroupBarrier();
    if lane.slot < SUBGROUPS {
        for (var i = lane.index; i < SIDE * SIDE; i += lane.count) {
            let row = first_row + i / SIDE;
            let column = first_column + i % SIDE;
            if row < params.rows && column < params.columns4 * 4u {
                var value = sums[slot + i] + bias[column];
                if GELU {
                    value = gelu(value);
                }
                let at = row * params.columns4 * 4u + column;
                if ACCUMULATE {
                    value += f32(y[at]);
                }
                if GATHER {
                    value += residual[rows[row] * params.columns4 * 4u + column];
                }
                y[at] = Element(value);
            }
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
    let rows = block().rows;
    let columns4 = block().columns4;
    let depth4 = block().depth4;
    // Neighbouring workgroups take neighbouring columns of the same rows.
    let across = (params.columns4 + 2u * columns4 - 1u) / (2u * columns4);
    let place = grid_index(group, counts);
    let first_row = place / across * 2u * rows;
    let first_column4 = place % across * 2u * columns4;
    // What the grid has past the last row has nothing to add up. (To return would make all that follows depend on it.)
    let inner4 = select(0u, params.inner4, first_row < params.rows);
    let row = subgroup / 2u % 2u * rows;
    let column4 = subgroup % 2u * columns4;

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

    let at0 = thread;
    let at1 = thread + THREADS;
    let at2 = thread + 2u * THREADS;
    let at3 = thread + 3u * THREADS;
    var x0 = fetch_left(at0, first_row, 0u);
    var x1 = fetch_left(at1, first_row, 0u);
    var x2 = fetch_left(at2, first_row, 0u);
    var x3 = fetch_left(at3, first_row, 0u);
    var w0 = fetch_right(at0, 0u, first_column4);
    var w1 = fetch_right(at1, 0u, first_column4);
    var w2 = fetch_right(at2, 0u, first_column4);
    var w3 = fetch_right(at3, 0u, first_column4);
    let left_stride4 = depth4 + PAD4;
    let right_stride4 = 2u * columns4 + PAD4;
    for (var first4 = 0u; first4 < inner4; first4 += depth4) {
        workgroupBarrier();
        stage_left(at0, x0);
        stage_left(at1, x1);
        stage_left(at2, x2);
        stage_left(at3, x3);
        stage_right(at0, w0);
        stage_right(at1, w1);
        stage_right(at2, w2);
        stage_right(at3, w3);
        workgroupBarrier();
        let next4 = first4 + depth4;
        x0 = fetch_left(at0, first_row, next4);
        x1 = fetch_left(at1, first_row, next4);
        x2 = fetch_left(at2, first_row, next4);
        x3 = fetch_left(at3, first_row, next4);
        w0 = fetch_right(at0, next4, first_column4);
        w1 = fetch_right(at1, next4, first_column4);
        w2 = fetch_right(at2, next4, first_column4);
        w3 = fetch_right(at3, next4, first_column4);
        for (var k4 = 0u; k4 < depth4; k4 += SIDE / 4u) {
            let l = row * left_stride4 + k4;
            let r = k4 * 4u * right_stride4 + column4;
            let a0 = load_left(l, left_stride4);
            let a1 = load_left(l + SIDE * left_stride4, left_stride4);
            let b0 = load_right(r, right_stride4);
            let b1 = load_right(r + SIDE / 4u, right_stride4);
            var a2: Left;
            var a3: Left;
            var b2: Right;
            var b3: Right;
            c00 = coopMultiplyAdd(a0, b0, c00);
            c01 = coopMultiplyAdd(a0, b1, c01);
            c10 = coopMultiplyAdd(a1, b0, c10);
            c11 = coopMultiplyAdd(a1, b1, c11);
            if WIDE {
                b2 = load_right(r + 2u * SIDE / 4u, right_stride4);
                b3 = load_right(r + 3u * SIDE / 4u, right_stride4);
                c02 = coopMultiplyAdd(a0, b2, c02);
                c03 = coopMultiplyAdd(a0, b3, c03);
                c12 = coopMultiplyAdd(a1, b2, c12);
                c13 = coopMultiplyAdd(a1, b3, c13);
            }
            if TALL {
                a2 = load_left(l + 2u * SIDE * left_stride4, left_stride4);
                a3 = load_left(l + 3u * SIDE * left_stride4, left_stride4);
                c20 = coopMultiplyAdd(a2, b0, c20);
                c21 = coopMultiplyAdd(a2, b1, c21);
                c30 = coopMultiplyAdd(a3, b0, c30);
                c31 = coopMultiplyAdd(a3, b1, c31);
            }
            if TALL & WIDE {
                c22 = coopMultiplyAdd(a2, b2, c22);
                c23 = coopMultiplyAdd(a2, b3, c23);
                c32 = coopMultiplyAdd(a3, b2, c32);
                c33 = coopMultiplyAdd(a3, b3, c33);
            }
        }
    }

    let lane = Lane(min(subgroup, SUBGROUPS), index, count);
    let i = first_row + row;
    let j = (first_column4 + column4) * 4u;
    store(c00, lane, i, j);
    store(c01, lane, i, j + SIDE);
    store(c10, lane, i + SIDE, j);
    store(c11, lane, i + SIDE, j + SIDE);
    if WIDE {
        store(c02, lane, i, j + 2u * SIDE);
        store(c03, lane, i, j + 3u * SIDE);
        store(c12, lane, i + SIDE, j + 2u * SIDE);
        store(c13, lane, i + SIDE, j + 3u * SIDE);
    }
    if TALL {
        store(c20, lane, i + 2u * SIDE, j);
        store(c21, lane, i + 2u * SIDE, j + SIDE);
        store(c30, lane, i + 3u * SIDE, j);
        store(c31, lane, i + 3u * SIDE, j + SIDE);
    }
    if TALL & WIDE {
        store(c22, lane, i + 2u * SIDE, j + 2u * SIDE);
        store(c23, lane, i + 2u * SIDE, j + 3u * SIDE);
        store(c32, lane, i + 3u * SIDE, j + 2u * SIDE);
        store(c33, lane, i + 3u * SIDE, j + 3u * SIDE);
    }
}
