// The cosines of unit keys (see query_key.wgsl, SYMMETRIC) by cooperative matrices of f16 with f32 sums. Four subgroups
// compute a square of ROWS keys by ROWS keys, 2 by 2 matrices each. Slabs of the keys pass through workgroup memory;
// while one slab is multiplied, the next is fetched into registers. Only squares on and above the diagonal have a
// workgroup; elements below the diagonal are copied from those above.
#import block/query_key_params.wgsl
#import shared/cooperative.wgsl
#import shared/grid.wgsl
#import shared/words.wgsl

// Four times the largest size that a subgroup may have here. If the subgroups are smaller, a workgroup has more than
// four: the additional ones repeat the work of the others, but store nothing. THREADS must be so large that two fetches
// by every thread fill a slab.
override THREADS: u32 = 128u;

const SUBGROUPS: u32 = 4u;
const ROWS: u32 = 4u * SIDE;
// A slab is two matrices deep: DEPTH8 groups of eight f16. In workgroup memory its rows are one such group further
// apart, so that the rows of one matrix lie in different banks.
const DEPTH8: u32 = 2u * SIDE / 8u;
const STRIDE8: u32 = DEPTH8 + 1u;
const LEFT8: u32 = ROWS * STRIDE8;
const RIGHT8: u32 = ROWS * STRIDE8;
// Matrices of sums pass through `sums` on their way to y: each subgroup that stores has a slot, and all others have one
// together.
const SLOT4: u32 = SIDE * SIDE / 4u;
const SUMS4: u32 = (SUBGROUPS + 1u) * SLOT4;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>; // [B, T, D / 8], eight f16 each, D in whole slabs
@group(0) @binding(2) var<storage, read> sizes: array<f32>;   // [B, T], not read
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [B, T, T]

// D / 8. Keys are passed as queries and keys of one head of width D.
fn inner8() -> u32 {
    return params.head4 / 2u;
}

// A thread's fetch number i of a slab: eight f16, where the slab begins at group `first8` of the rows. Rows past the
// last key repeat it, and results computed from them are not stored.
fn fetch(i: u32, thread: u32, origin8: u32, first_row: u32, first8: u32) -> vec4<u32> {
    let at = thread + i * THREADS;
    if at < ROWS * DEPTH8 {
        return x[origin8 + min(first_row + at / DEPTH8, params.tokens - 1u) * inner8() + first8 + at % DEPTH8];
    }
    return vec4<u32>();
}

fn stage_left(i: u32, thread: u32, value: vec4<u32>) {
    let at = thread + i * THREADS;
    if at < ROWS * DEPTH8 {
        put_left(at / DEPTH8 * STRIDE8 + at % DEPTH8, eight(value));
    }
}

fn stage_right(i: u32, thread: u32, value: vec4<u32>) {
    let at = thread + i * THREADS;
    if at < ROWS * DEPTH8 {
        put_right(at / DEPTH8 * STRIDE8 + at % DEPTH8, eight(value));
    }
}

// The slot in `sums` of a thread's subgroup, the thread's index in the subgroup, and the number of threads there.
struct Lane {
    slot: u32,
    index: u32,
    count: u32,
}

// Stores one cosine on or above the diagonal.
fn store_above(base: u32, row: u32, column: u32, value: f32) {
    if row <= column && column < params.tokens {
        y[base + row * params.tokens + column] = value;
    }
}

// Stores the same cosine mirrored below the diagonal.
fn store_below(base: u32, row: u32, column: u32, value: f32) {
    if row < column && column < params.tokens {
        y[base + column * params.tokens + row] = value;
    }
}

// Neighbouring lanes write neighbouring elements, both above and below the diagonal.
fn store(sum: Sum, lane: Lane, base: u32, first_row: u32, first_column: u32) {
    let slot = lane.slot * SLOT4;
    put_sum(sum, slot, SIDE / 4u);
    subgroupBarrier();
    if lane.slot < SUBGROUPS && base < params.images * params.tokens * params.tokens {
        for (var i = lane.index; i < SLOT4; i += lane.count) {
            let four = take_sum(slot + i);
            let row = first_row + i / (SIDE / 4u);
            let column = first_column + i % (SIDE / 4u) * 4u;
            store_above(base, row, column, four.x);
            store_above(base, row, column + 1u, four.y);
            store_above(base, row, column + 2u, four.z);
            store_above(base, row, column + 3u, four.w);
        }
        for (var i = lane.index; i < SLOT4; i += lane.count) {
            let four = take_sum(slot + i % SIDE * (SIDE / 4u) + i / SIDE);
            let row = first_row + i % SIDE;
            let column = first_column + i / SIDE * 4u;
            store_below(base, row, column, four.x);
            store_below(base, row, column + 1u, four.y);
            store_below(base, row, column + 2u, four.z);
            store_below(base, row, column + 3u, four.w);
        }
    }
    subgroupBarrier();
}

// The row and column of square number `index` among the squares on and above the diagonal, with `across` squares to a
// side.
fn square(index: u32, across: u32) -> vec2<u32> {
    var row = 0u;
    var rest = index;
    for (var length = across; rest >= length; length -= 1u) {
        rest -= length;
        row += 1u;
    }
    return vec2(row, row + rest);
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
    let across = (params.tokens + ROWS - 1u) / ROWS;
    let squares = across * (across + 1u) / 2u;
    let unit = grid_index(group, counts);
    let image = unit / squares;
    let place = square(unit % squares, across) * ROWS;
    // Workgroups that a folded grid has past the last image read the last image, and store nothing.
    let origin8 = min(image, params.images - 1u) * params.tokens * inner8();
    let row = subgroup / 2u % 2u * 2u * SIDE;
    let column = subgroup % 2u * 2u * SIDE;

    var c00: Sum;
    var c01: Sum;
    var c10: Sum;
    var c11: Sum;
    var l0 = fetch(0u, thread, origin8, place.x, 0u);
    var l1 = fetch(1u, thread, origin8, place.x, 0u);
    var r0 = fetch(0u, thread, origin8, place.y, 0u);
    var r1 = fetch(1u, thread, origin8, place.y, 0u);
    for (var first8 = 0u; first8 < inner8(); first8 += DEPTH8) {
        workgroupBarrier();
        stage_left(0u, thread, l0);
        stage_left(1u, thread, l1);
        stage_right(0u, thread, r0);
        stage_right(1u, thread, r1);
        workgroupBarrier();
        // After the last slab it is fetched once more, and not used.
        let next8 = select(first8, first8 + DEPTH8, first8 + DEPTH8 < inner8());
        l0 = fetch(0u, thread, origin8, place.x, next8);
        l1 = fetch(1u, thread, origin8, place.x, next8);
        r0 = fetch(0u, thread, origin8, place.y, next8);
        r1 = fetch(1u, thread, origin8, place.y, next8);
        for (var k8 = 0u; k8 < DEPTH8; k8 += SIDE / 8u) {
            let a0 = load_left(row * STRIDE8 + k8, STRIDE8);
            let a1 = load_left((row + SIDE) * STRIDE8 + k8, STRIDE8);
            let b0 = load_across(column * STRIDE8 + k8, STRIDE8);
            let b1 = load_across((column + SIDE) * STRIDE8 + k8, STRIDE8);
            c00 = coopMultiplyAdd(a0, b0, c00);
            c01 = coopMultiplyAdd(a0, b1, c01);
            c10 = coopMultiplyAdd(a1, b0, c10);
            c11 = coopMultiplyAdd(a1, b1, c11);
        }
    }

    let lane = Lane(min(subgroup, SUBGROUPS), index, count);
    let base = image * params.tokens * params.tokens;
    let i = place.x + row;
    let j = place.y + column;
    store(c00, lane, base, i, j);
    store(c01, lane, base, i, j + SIDE);
    store(c10, lane, base, i + SIDE, j);
    store(c11, lane, base, i + SIDE, j + SIDE);
}
