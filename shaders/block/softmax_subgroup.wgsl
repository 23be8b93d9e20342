// softmax.wgsl with an octet for each row, in two passes over it. The first pass sums the exponentials relative to the
// largest element so far, and scales the sum down when a larger one appears.
#import block/softmax_params.wgsl
#import shared/grid.wgsl
#import shared/octet.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>; // [rows, stride]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
) {
    let own = octet(subgroup, subgroup_size, invocation);
    let row = grid_index(group, counts) * OCTETS + own.index;
    if row >= params.rows {
        return;
    }
    let base = row * params.stride;

    var most = -3.4028234e38;
    var sum = 0.0;
    for (var i = own.lane; i < params.columns; i += 8u) {
        let value = x[base + i] * params.scale;
        let before = most;
        most = max(most, value);
        sum = sum * exp(before - most) + exp(value - most);
    }
    let largest = octet_max(most);
    let inverse = 1.0 / octet_sum(sum * exp(most - largest));

    for (var i = own.lane; i < params.stride; i += 8u) {
        var value = 0.0;
        if i < params.columns {
            value = exp(x[base + i] * params.scale - largest) * inverse;
        }
        x[base + i] = value;
    }
}
