// linear.wgsl by cooperative matrices of f16 with f32 sums. A workgroup has DOWN by ACROSS subgroups. Each keeps HEIGHT
// by WIDTH matrices of sums, so that a loaded matrix is used up to 4 times. Slabs of x and w pass through workgroup
// memory; while one slab is multiplied, the next is fetched into registers.
#import block/linear_params.wgsl
#import shared/cooperative.wgsl
#import shared/cooperative_epilogue.wgsl
#import shared/epilogue.wgsl
#import shared/grid.wgsl
#import shared/slabs.wgsl
#import shared/sums.wgsl

// Matrices of sums of a subgroup: 2 or 4 down, 2 or 4 across.
override HEIGHT: u32 = 2u;
override WIDTH: u32 = 2u;
// Depth of a slab along K, in matrices.
override DEPTH: u32 = 2u;
// Subgroups of a workgroup, down and across, that compute different sums.
override DOWN: u32 = 2u;
override ACROSS: u32 = 2u;
// How many subgroups compute each sum, 1 or 2. With 2, each takes half of the depth of every slab. This pays if there
// are few workgroups: slabs can be twice as deep, and the workgroup waits half as often.
override SPLIT: u32 = 1u;
// DOWN * ACROSS * SPLIT times the largest size that a subgroup may have here. If the subgroups are smaller, a workgroup
// has more of them: the additional ones repeat the work of the others, but store nothing. THREADS must be so large that
// 8 fetches by every thread fill a slab. It must be a multiple of the vec4s in a row of x's slab, and of those in a row
// of w's slab.
override THREADS: u32 = 128u;
// Whether K is a whole number of slabs.
override WHOLE: bool = true;
// Whether no subgroup repeats another's work.
override ALIKE: bool = false;

override DEPTH4: u32 = DEPTH * SIDE / 4u;
override SLAB_ROWS: u32 = DOWN * HEIGHT * SIDE;
override SLAB_COLUMNS4: u32 = ACROSS * WIDTH * SIDE / 4u;
// Rows of a slab are stored 16 bytes further apart than they are long, so that the rows of one matrix lie in different
// banks.
override LEFT_STRIDE8: u32 = DEPTH4 / 2u + 1u;
override RIGHT_STRIDE8: u32 = SLAB_COLUMNS4 / 2u + 1u;
override LEFT8: u32 = SLAB_ROWS * LEFT_STRIDE8;
override RIGHT8: u32 = 4u * DEPTH4 * RIGHT_STRIDE8;
// Matrices of sums pass through `sums` on their way to y: each subgroup that stores has a slot, and all others have one
// together.
override SLOTS: u32 = DOWN * ACROSS * SPLIT + 1u;
const SLOT4: u32 = SIDE * SIDE / 4u;
override SUMS4: u32 = SLOTS * SLOT4;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec2<u32>>;     // [M, K/4], of f16
@group(0) @binding(2) var<storage, read> w: array<vec2<u32>>;     // [K, columns4], of f16, zero past the last column
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;  // [columns4]
@group(0) @binding(4) var<storage, read_write> y: array<Output4>; // [M, columns4]
@group(0) @binding(5) var<storage, read> residual: array<vec4<f32>>; // [?, columns4], read with GATHER only
@group(0) @binding(6) var<storage, read> rows: array<u32>; // [M]: row of residual, read with GATHER only

// The sum over the whole depth, from the parts of two subgroups, which exchange them through their slots.
fn whole(part: Sum, slot: u32, other: u32) -> Sum {
    if SPLIT == 1u {
        return part;
    }
    put_sum(part, slot * SLOT4, SIDE / 4u);
    workgroupBarrier();
    let sum = part + load_sum(other * SLOT4, SIDE / 4u);
    workgroupBarrier();
    return sum;
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
    // Workgroups that a folded grid has past the last row sum up nothing. (An early return would make the control flow
    // after it non-uniform.)
    let inner4 = select(0u, params.inner4, first_row < params.rows);
    let row = subgroup / ACROSS % DOWN * HEIGHT * SIDE;
    let column8 = subgroup % ACROSS * WIDTH * SIDE / 8u;
    let own_depth8 = subgroup / (DOWN * ACROSS) % SPLIT * (DEPTH4 / 2u / SPLIT);

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
    let l4 = left_source(4u, thread, first_row);
    let l5 = left_source(5u, thread, first_row);
    let l6 = left_source(6u, thread, first_row);
    let l7 = left_source(7u, thread, first_row);
    let r0 = right_source(0u, thread, first_column4);
    let r1 = right_source(1u, thread, first_column4);
    let r2 = right_source(2u, thread, first_column4);
    let r3 = right_source(3u, thread, first_column4);
    let r4 = right_source(4u, thread, first_column4);
    let r5 = right_source(5u, thread, first_column4);
    let r6 = right_source(6u, thread, first_column4);
    let r7 = right_source(7u, thread, first_column4);
    var x0 = fetch_left(0u, thread, l0, 0u);
    var x1 = fetch_left(1u, thread, l1, 0u);
    var x2 = fetch_left(2u, thread, l2, 0u);
    var x3 = fetch_left(3u, thread, l3, 0u);
    var x4 = fetch_left(4u, thread, l4, 0u);
    var x5 = fetch_left(5u, thread, l5, 0u);
    var x6 = fetch_left(6u, thread, l6, 0u);
    var x7 = fetch_left(7u, thread, l7, 0u);
    var w0 = fetch_right(0u, thread, r0, 0u);
    var w1 = fetch_right(1u, thread, r1, 0u);
    var w2 = fetch_right(2u, thread, r2, 0u);
    var w3 = fetch_right(3u, thread, r3, 0u);
    var w4 = fetch_right(4u, thread, r4, 0u);
    var w5 = fetch_right(5u, thread, r5, 0u);
    var w6 = fetch_right(6u, thread, r6, 0u);
    var w7 = fetch_right(7u, thread, r7, 0u);
    for (var first4 = 0u; first4 < inner4; first4 += DEPTH4) {
        workgroupBarrier();
        stage_left(0u, thread, x0);
        stage_left(1u, thread, x1);
        stage_left(2u, thread, x2);
        stage_left(3u, thread, x3);
        stage_left(4u, thread, x4);
        stage_left(5u, thread, x5);
        stage_left(6u, thread, x6);
        stage_left(7u, thread, x7);
        stage_right(0u, thread, w0);
        stage_right(1u, thread, w1);
        stage_right(2u, thread, w2);
        stage_right(3u, thread, w3);
        stage_right(4u, thread, w4);
        stage_right(5u, thread, w5);
        stage_right(6u, thread, w6);
        stage_right(7u, thread, w7);
        workgroupBarrier();
        // After the last slab, the same slab is fetched again and not used.
        let next4 = select(first4, first4 + DEPTH4, first4 + DEPTH4 < inner4);
        x0 = fetch_left(0u, thread, l0, next4);
        x1 = fetch_left(1u, thread, l1, next4);
        x2 = fetch_left(2u, thread, l2, next4);
        x3 = fetch_left(3u, thread, l3, next4);
        x4 = fetch_left(4u, thread, l4, next4);
        x5 = fetch_left(5u, thread, l5, next4);
        x6 = fetch_left(6u, thread, l6, next4);
        x7 = fetch_left(7u, thread, l7, next4);
        w0 = fetch_right(0u, thread, r0, next4);
        w1 = fetch_right(1u, thread, r1, next4);
        w2 = fetch_right(2u, thread, r2, next4);
        w3 = fetch_right(3u, thread, r3, next4);
        w4 = fetch_right(4u, thread, r4, next4);
        w5 = fetch_right(5u, thread, r5, next4);
        w6 = fetch_right(6u, thread, r6, next4);
        w7 = fetch_right(7u, thread, r7, next4);
        for (var step8 = 0u; step8 < DEPTH4 / 2u / SPLIT; step8 += SIDE / 8u) {
            let k8 = own_depth8 + step8;
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

    // With ALIKE, the size of the subgroup follows from constants, and the compiler can use it.
    let lane = Lane(min(subgroup, DOWN * ACROSS * SPLIT), index, select(count, THREADS / (DOWN * ACROSS * SPLIT), ALIKE));
    let other = (subgroup + DOWN * ACROSS) % (DOWN * ACROSS * SPLIT);
    c00 = whole(c00, lane.slot, other);
    c01 = whole(c01, lane.slot, other);
    c10 = whole(c10, lane.slot, other);
    c11 = whole(c11, lane.slot, other);
    if WIDTH > 2u {
        c02 = whole(c02, lane.slot, other);
        c03 = whole(c03, lane.slot, other);
        c12 = whole(c12, lane.slot, other);
        c13 = whole(c13, lane.slot, other);
    }
    if HEIGHT > 2u {
        c20 = whole(c20, lane.slot, other);
        c21 = whole(c21, lane.slot, other);
        c30 = whole(c30, lane.slot, other);
        c31 = whole(c31, lane.slot, other);
    }
    if (HEIGHT > 2u) & (WIDTH > 2u) {
        c22 = whole(c22, lane.slot, other);
        c23 = whole(c23, lane.slot, other);
        c32 = whole(c32, lane.slot, other);
        c33 = whole(c33, lane.slot, other);
    }
    let i = first_row + row;
    let j = first_column4 + column8 * 2u;
    // Whether all of the workgroup's sums lie within y.
    let is_whole = (first_row + SLAB_ROWS <= params.rows) & (first_column4 + SLAB_COLUMNS4 <= params.columns4);
    if DIRECT & ALIKE & (SPLIT == 1u) & (ACTIVATION == 0u) & !GATHER & is_whole {
        store_sums_direct(c00, c01, c02, c03, c10, c11, c12, c13, i, j);
        if HEIGHT > 2u {
            store_sums_direct(c20, c21, c22, c23, c30, c31, c32, c33, i + 2u * SIDE, j);
        }
    } else {
        let biases = biases_of(lane, j);
        store_sums(c00, c01, c02, c03, biases, lane, i, j);
        store_sums(c10, c11, c12, c13, biases, lane, i + SIDE, j);
        if HEIGHT > 2u {
            store_sums(c20, c21, c22, c23, biases, lane, i + 2u * SIDE, j);
            store_sums(c30, c31, c32, c33, biases, lane, i + 3u * SIDE, j);
        }
    }
}
