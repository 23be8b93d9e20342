// Rows of logits for the threads of a subgroup: as many queries as a matrix has rows, times as many keys as it has
// columns. The cooperative attention kernels use them, with values or without. Keys come in chunks of two matrices.
// Logits pass through workgroup memory one matrix at a time, to use little of it: an NVIDIA multiprocessor has room for
// two workgroups if each needs at most about 24 KB.

// Subgroups of a workgroup that have queries of their own.
override SUBGROUPS: u32 = 2u;
// SUBGROUPS times the largest size that a subgroup may have here. If the subgroups are smaller, a workgroup has more of
// them than SUBGROUPS: the additional ones repeat the work of the last subgroup with queries, but store nothing.
override THREADS: u32 = 128u;
// 1 if there may be such additional subgroups, else 0.
override OTHERS: u32 = 1u;
// Cooperative matrices, side by side, that the width of a head takes: 1 to 8.
override HEAD: u32 = 2u;
override HEAD8: u32 = HEAD * SIDE / 8u;
// Keys in a chunk.
const KEYS: u32 = 2u * SIDE;
// STRIDE4: vec4s from the logits of one query to the logits of the next. SLOT4: vec4s of a subgroup's slot in `sums`.
// Each subgroup with queries has a slot, and the additional subgroups have one together.
const STRIDE4: u32 = SIDE / 4u + 1u;
const SLOT4: u32 = SIDE * STRIDE4;
override SUMS4: u32 = (SUBGROUPS + OTHERS) * SLOT4;

const LOWEST: f32 = -3.4028234e38;

// The part of a matrix that a thread reads: a part of one row.
struct Place {
    slot: u32,
    stores: bool,
    row: u32,
    lanes: u32, // lanes that read the same row
    part: u32,  // index of this lane among them
    first: u32, // its first vec4 in the row; it has at most two
    end: u32,   // the vec4 after its last
}

fn place_of(subgroup: u32, index: u32, count: u32) -> Place {
    // A subgroup has as many threads as a matrix has rows, or that number times a power of two.
    let lanes = max(count / SIDE, 1u);
    let part = index % lanes;
    let width = (SIDE / 4u + lanes - 1u) / lanes;
    let end = min((part + 1u) * width, SIDE / 4u);
    return Place(
        min(subgroup, SUBGROUPS),
        subgroup < SUBGROUPS,
        index / lanes % SIDE,
        lanes,
        part,
        min(part * width, SIDE / 4u),
        end,
    );
}

// The reductions over the lanes of a row, which are neighbours.
fn row_max(value: f32, lanes: u32) -> f32 {
    var most = value;
    for (var step = 1u; step < lanes; step *= 2u) {
        most = max(most, subgroupShuffleXor(most, step));
    }
    return most;
}

fn row_sum(value: f32, lanes: u32) -> f32 {
    var sum = value;
    for (var step = 1u; step < lanes; step *= 2u) {
        sum += subgroupShuffleXor(sum, step);
    }
    return sum;
}

// A subgroup's queries, as the matrices that make up the width of a head.
struct Queries {
    m0: Left,
    m1: Left,
    m2: Left,
    m3: Left,
    m4: Left,
    m5: Left,
    m6: Left,
    m7: Left,
}

// The dot products of a subgroup's queries with as many keys as a matrix has columns. The keys lie in `right` from
// `at8` on, one key in each row.
fn dot_products(q: Queries, at8: u32) -> Sum {
    var sum: Sum;
    sum = coopMultiplyAdd(q.m0, load_across(at8, HEAD8 + 1u), sum);
    if HEAD > 1u { sum = coopMultiplyAdd(q.m1, load_across(at8 + 1u * SIDE / 8u, HEAD8 + 1u), sum); }
    if HEAD > 2u { sum = coopMultiplyAdd(q.m2, load_across(at8 + 2u * SIDE / 8u, HEAD8 + 1u), sum); }
    if HEAD > 3u { sum = coopMultiplyAdd(q.m3, load_across(at8 + 3u * SIDE / 8u, HEAD8 + 1u), sum); }
    if HEAD > 4u { sum = coopMultiplyAdd(q.m4, load_across(at8 + 4u * SIDE / 8u, HEAD8 + 1u), sum); }
    if HEAD > 5u { sum = coopMultiplyAdd(q.m5, load_across(at8 + 5u * SIDE / 8u, HEAD8 + 1u), sum); }
    if HEAD > 6u { sum = coopMultiplyAdd(q.m6, load_across(at8 + 6u * SIDE / 8u, HEAD8 + 1u), sum); }
    if HEAD > 7u { sum = coopMultiplyAdd(q.m7, load_across(at8 + 7u * SIDE / 8u, HEAD8 + 1u), sum); }
    return sum;
}
