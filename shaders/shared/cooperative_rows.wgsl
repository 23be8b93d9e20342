// Rows of logits for the threads of a subgroup: as many queries as a matrix has rows times as many keys as it has columns.
// What attention does by cooperative matrices, with or without values. Keys come in chunks of two matrices, logits pass
// through workgroup memory one matrix at a time: it decides how many workgroups share a core of an NVIDIA GPU, two if each
// has at most some 24 KB of it.

// Subgroups of a workgroup that have queries.
override SUBGROUPS: u32 = 2u;
// SUBGROUPS times the most threads that a subgroup may have here. Where subgroups turn out smaller there are more of them:
// the others repeat what the last one does, but store nothing.
override THREADS: u32 = 128u;
// 1 where there may be such others, else 0.
override OTHERS: u32 = 1u;
// Matrices side by side that a head takes, 1 to 8.
override HEAD: u32 = 2u;
override HEAD8: u32 = HEAD * SIDE / 8u;
// Keys of a chunk.
const KEYS: u32 = 2u * SIDE;
// vec4s of logits from one query to the next, and of a subgroup: a slot for each that has queries, and one for the others.
const STRIDE4: u32 = SIDE / 4u + 1u;
const SLOT4: u32 = SIDE * STRIDE4;
override SUMS4: u32 = (SUBGROUPS + OTHERS) * SLOT4;

const LOWEST: f32 = -3.4028234e38;

// What a thread sees of a matrix: a part of one row.
struct Place {
    slot: u32,
    stores: bool,
    row: u32,
    lanes: u32, // that share the row
    part: u32,  // of this one among them
    first: u32, // its vec4s of the row from here, at most two
    end: u32,   // to here
}

fn place_of(subgroup: u32, index: u32, count: u32) -> Place {
    // Subgroups are as large as a matrix has rows, or a power of two larger.
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

// Over the lanes of a row, which lie next to each other.
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

// A subgroup's queries.
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

// Queries times as many keys as a matrix has columns, which lie in `right` from `at8` on, a key in each row.
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
