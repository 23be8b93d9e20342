// Reductions along rows: ROWS rows for each workgroup, LANES neighbouring threads for each row. A reduction takes one
// pair of barriers. Every thread adds in the same order, so the result does not depend on scheduling. Call these from
// uniform control flow.
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
