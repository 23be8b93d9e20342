// Rows of logits for the threads of a subgroup: as many queries as a matrix has rows times a chunk of two matrices of
// keys. What attention does by cooperative matrices, with or without values. Importers have a `params`.

// Subgroups of a workgroup that have queries.
override SUBGROUPS: u32 = 2u;
// SUBGROUPS times the most threads that a subgroup may have here. Where subgroups turn out smaller there are more of them:
// the others repeat what the last one does, but store nothing.
override THREADS: u32 = 128u;
// Matrices side by side that a head takes, 1 to 8.
override HEAD: u32 = 2u;
override HEAD8: u32 = HEAD * SIDE / 8u;
// Keys of a chunk.
const KEYS: u32 = 2u * SIDE;
const KEYS8: u32 = KEYS / 8u;
// vec4s of logits from one query to the next, and of a subgroup: a slot for each that has queries, and one for the others.
const STRIDE4: u32 = KEYS / 4u + 1u;
const SLOT4: u32 = SIDE * STRIDE4;
override SUMS4: u32 = (SUBGROUPS + 1u) * SLOT4;

const LOWEST: f32 = -3.4028234e38;

// What a thread sees of a chunk: a part of one row.
struct Place {
    slot: u32,
    stores: bool,
    row: u32,
    lanes: u32, // that share the row
    part: u32,  // of this one among them
    first: u32, // vec4s of the row from here
    end: u32,   // to here
}

fn place_of(subgroup: u32, index: u32, count: u32) -> Place {
    // Subgroups are as large as a matrix has rows, or a power of two larger.
    let lanes = max(count / SIDE, 1u);
    let part = index % lanes;
    let width = (KEYS / 4u + lanes - 1u) / lanes;
    let end = min((part + 1u) * width, KEYS / 4u);
    return Place(
        min(subgroup, SUBGROUPS),
        subgroup < SUBGROUPS,
        index / lanes % SIDE,
        lanes,
        part,
        min(part * width, KEYS / 4u),
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

fn load_queries(at8: u32) -> Queries {
    var q: Queries;
    q.m0 = load_left(at8, HEAD8 + 1u);
    if HEAD > 1u { q.m1 = load_left(at8 + 1u * SIDE / 8u, HEAD8 + 1u); }
    if HEAD > 2u { q.m2 = load_left(at8 + 2u * SIDE / 8u, HEAD8 + 1u); }
    if HEAD > 3u { q.m3 = load_left(at8 + 3u * SIDE / 8u, HEAD8 + 1u); }
    if HEAD > 4u { q.m4 = load_left(at8 + 4u * SIDE / 8u, HEAD8 + 1u); }
    if HEAD > 5u { q.m5 = load_left(at8 + 5u * SIDE / 8u, HEAD8 + 1u); }
    if HEAD > 6u { q.m6 = load_left(at8 + 6u * SIDE / 8u, HEAD8 + 1u); }
    if HEAD > 7u { q.m7 = load_left(at8 + 7u * SIDE / 8u, HEAD8 + 1u); }
    return q;
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

// Leaves a chunk's dot products in the slot.
fn multiply_keys(q: Queries, at8: u32, slot: u32) {
    put_sum(dot_products(q, at8), slot * SLOT4, STRIDE4);
    put_sum(dot_products(q, at8 + SIDE * (HEAD8 + 1u)), slot * SLOT4 + SIDE / 4u, STRIDE4);
}
