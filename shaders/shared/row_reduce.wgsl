// Reductions along rows, ROWS rows to a workgroup and LANES neighbouring threads to a row. One barrier pair each, and
// every thread adds in the same order: the result does not depend on scheduling. Call from uniform control flow.
const LANES: u32 = 8u;
const ROWS: u32 = 8u;

var<workgroup> row_partials: array<f32, 64>; // [ROWS, LANES]

fn row_sum(value: f32, thread: u32) -> f32 {
    workgroupBarrier();
    row_partials[thread] = value;
    workgroupBarrier();
    let first = thread / LANES * LANES;
    var sum = row_partials[first];
    for (var lane = 1u; lane < LANES; lane++) {
        sum += row_partials[first + lane];
    }
    return sum;
}

fn row_max(value: f32, thread: u32) -> f32 {
    workgroupBarrier();
    row_partials[thread] = value;
    workgroupBarrier();
    let first = thread / LANES * LANES;
    var most = row_partials[first];
    for (var lane = 1u; lane < LANES; lane++) {
        most = max(most, row_partials[first + lane]);
    }
    return most;
}
