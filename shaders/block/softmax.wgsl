// Softmax of scale * x along each row, in place. Elements between `columns` and `stride` become 0, so that the product
// with the values may read whole vec4s.
#import block/softmax_params.wgsl
#import shared/grid.wgsl
#import shared/row_reduce.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>; // [rows, stride]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = grid_index(group, counts) * ROWS + thread / LANES;
    let lane = thread % LANES;
    let exists = row < params.rows;
    let base = min(row, params.rows - 1u) * params.stride;
    let columns = select(0u, params.columns, exists);

    var most = -3.4028234e38;
    for (var i = lane; i < columns; i += LANES) {
        most = max(most, x[base + i] * params.scale);
    }
    most = row_max(most, thread);

    var sum = 0.0;
    for (var i = lane; i < columns; i += LANES) {
        let value = exp(x[base + i] * params.scale - most);
        x[base + i] = value;
        sum += value;
    }
    let inverse = 1.0 / row_sum(sum, thread);

    if exists {
        for (var i = lane; i < params.stride; i += LANES) {
            x[base + i] = select(0.0, x[base + i] * inverse, i < params.columns);
        }
    }
}
