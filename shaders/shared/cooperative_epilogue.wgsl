// The epilogue of a product by cooperative matrices: it adds the bias and the addends to the sums and stores them to y.
// The matrices of one row pass through workgroup memory one after another, or the matrices of two rows are stored
// straight to y. The shader that imports this also imports shared/epilogue.wgsl and shared/sums.wgsl, and defines how
// many subgroups a workgroup has (DOWN, ACROSS, SPLIT, ALIKE), how many matrices a row of a subgroup has (WIDTH), and
// SLOT4, the vec4s of a matrix.

// The slot in `sums` of a thread's subgroup, the thread's index in the subgroup, and the number of threads there.
struct Lane {
    slot: u32,
    index: u32,
    count: u32,
}

// One value for each of the first two vec4s that a thread stores of a matrix. The two lie in the same column. There are
// more than two only if the subgroup has fewer than half as many threads as the matrix has vec4s.
struct Pair {
    a: vec4<f32>,
    b: vec4<f32>,
}

// The values in y and in `residual` that a thread's first two vec4s of a matrix are added to.
fn pair_before(lane: Lane, row: u32, sources: vec2<u32>, column4: u32) -> Pair {
    let column = column4 + lane.index % (SIDE / 4u);
    let other = lane.index + lane.count;
    var pair = Pair(addend(row + lane.index / (SIDE / 4u), sources.x, column), vec4(0.0));
    if other < SLOT4 {
        pair.b = addend(row + other / (SIDE / 4u), sources.y, column);
    }
    return pair;
}

// Whether this subgroup stores its sums. Subgroups that repeat the work of another do not.
fn is_storing(lane: Lane) -> bool {
    return (ALIKE & (SPLIT == 1u)) || lane.slot < DOWN * ACROSS;
}

fn store_sum(sum: Sum, before: Pair, own_bias: vec4<f32>, lane: Lane, first_row: u32, first_column4: u32) {
    let slot = lane.slot * SLOT4;
    put_sum(sum, slot, SIDE / 4u);
    subgroupBarrier();
    if is_storing(lane) {
        let column4 = first_column4 + lane.index % (SIDE / 4u);
        let other = lane.index + lane.count;
        store_onto(before.a, first_row + lane.index / (SIDE / 4u), column4, take_sum(slot + lane.index), own_bias);
        if other < SLOT4 {
            store_onto(before.b, first_row + other / (SIDE / 4u), column4, take_sum(slot + other), own_bias);
        }
        if 2u * lane.count < SLOT4 {
            for (var i = other + lane.count; i < SLOT4; i += lane.count) {
                let row = first_row + i / (SIDE / 4u);
                store_onto(addend(row, residual_row(row), column4), row, column4, take_sum(slot + i), own_bias);
            }
        }
    }
    subgroupBarrier();
}

// A thread's biases for the matrices of one row.
struct Biases {
    b0: vec4<f32>,
    b1: vec4<f32>,
    b2: vec4<f32>,
    b3: vec4<f32>,
}

fn biases_of(lane: Lane, column4: u32) -> Biases {
    let column = column4 + lane.index % (SIDE / 4u);
    var biases = Biases(bias_of(column), bias_of(column + SIDE / 4u), vec4(0.0), vec4(0.0));
    if WIDTH > 2u {
        biases.b2 = bias_of(column + 2u * SIDE / 4u);
        biases.b3 = bias_of(column + 3u * SIDE / 4u);
    }
    return biases;
}

// Stores one row of a subgroup's sums. All addends are loaded before anything is stored, so that the threads wait for
// memory only once.
fn store_sums(s0: Sum, s1: Sum, s2: Sum, s3: Sum, biases: Biases, lane: Lane, row: u32, column4: u32) {
    let sources = vec2(
        residual_row(row + lane.index / (SIDE / 4u)),
        residual_row(row + (lane.index + lane.count) / (SIDE / 4u)),
    );
    let p0 = pair_before(lane, row, sources, column4);
    let p1 = pair_before(lane, row, sources, column4 + SIDE / 4u);
    var p2: Pair;
    var p3: Pair;
    if WIDTH > 2u {
        p2 = pair_before(lane, row, sources, column4 + 2u * SIDE / 4u);
        p3 = pair_before(lane, row, sources, column4 + 3u * SIDE / 4u);
    }
    store_sum(s0, p0, biases.b0, lane, row, column4);
    store_sum(s1, p1, biases.b1, lane, row, column4 + SIDE / 4u);
    if WIDTH > 2u {
        store_sum(s2, p2, biases.b2, lane, row, column4 + 2u * SIDE / 4u);
        store_sum(s3, p3, biases.b3, lane, row, column4 + 3u * SIDE / 4u);
    }
}

// Stores two rows of a subgroup's sums straight to y, again with all loads before the first store.
fn store_sums_direct(
    s0: Sum, s1: Sum, s2: Sum, s3: Sum, t0: Sum, t1: Sum, t2: Sum, t3: Sum, row: u32, column4: u32,
) {
    let a0 = s0 + before_direct(row, column4);
    let a1 = s1 + before_direct(row, column4 + SIDE / 4u);
    var a2: Sum;
    var a3: Sum;
    if WIDTH > 2u {
        a2 = s2 + before_direct(row, column4 + 2u * SIDE / 4u);
        a3 = s3 + before_direct(row, column4 + 3u * SIDE / 4u);
    }
    let b0 = t0 + before_direct(row + SIDE, column4);
    let b1 = t1 + before_direct(row + SIDE, column4 + SIDE / 4u);
    var b2: Sum;
    var b3: Sum;
    if WIDTH > 2u {
        b2 = t2 + before_direct(row + SIDE, column4 + 2u * SIDE / 4u);
        b3 = t3 + before_direct(row + SIDE, column4 + 3u * SIDE / 4u);
    }
    store_direct(a0, row, column4);
    store_direct(a1, row, column4 + SIDE / 4u);
    store_direct(b0, row + SIDE, column4);
    store_direct(b1, row + SIDE, column4 + SIDE / 4u);
    if WIDTH > 2u {
        store_direct(a2, row, column4 + 2u * SIDE / 4u);
        store_direct(a3, row, column4 + 3u * SIDE / 4u);
        store_direct(b2, row + SIDE, column4 + 2u * SIDE / 4u);
        store_direct(b3, row + SIDE, column4 + 3u * SIDE / 4u);
    }
}
