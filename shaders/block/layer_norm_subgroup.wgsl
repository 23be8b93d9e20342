// What layer_norm.wgsl makes, a row to an octet, in two passes over it. Squares are summed of differences to the mean of
// the row's first 32 elements: near the row's mean, so that taking the square of their mean off loses nothing, unless an
// outlier is among them. Where it lost more than a factor of 16 the squares are summed again.
#import shared/grid.wgsl
#import shared/octet.wgsl
#import shared/output.wgsl

struct Params {
    rows: u32,
    width4: u32, // D / 4
    epsilon: f32,
}

// With GATHER, row i of y is made of row rows[i] of x.
override GATHER: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;       // [rows, D/4]; with GATHER as many as `rows` names
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;  // [D/4]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;    // [D/4]
@group(0) @binding(4) var<storage, read_write> y: array<Output4>;   // [rows, D/4]
@group(0) @binding(5) var<storage, read> rows: array<u32>;          // [rows], read with GATHER only

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
    var source = row;
    if GATHER {
        source = rows[row];
    }
    let base = source * params.width4;
    let out = row * params.width4;
    let width = f32(params.width4 * 4u);

    // Not of what is past a short row's end: the first elements twice are near the mean, too.
    let some = x[base + own.lane % params.width4] - x[base].x;
    let origin = x[base].x + octet_sum(dot(some, vec4(1.0))) / 32.0;
    var sum = vec4<f32>(0.0);
    var squares = vec4<f32>(0.0);
    for (var i = own.lane; i < params.width4; i += 8u) {
        let difference = x[base + i] - origin;
        sum += difference;
        squares += difference * difference;
    }
    let mean = octet_sum(dot(sum, vec4(1.0))) / width;
    let about_origin = octet_sum(dot(squares, vec4(1.0))) / width;
    var variance = about_origin - mean * mean;
    // NaN goes on as it is.
    if variance < about_origin / 16.0 {
        squares = vec4(0.0);
        for (var i = own.lane; i < params.width4; i += 8u) {
            let centred = x[base + i] - origin - mean;
            squares += centred * centred;
        }
        variance = octet_sum(dot(squares, vec4(1.0))) / width;
    }
    let scale = 1.0 / sqrt(variance + params.epsilon);

    for (var i = own.lane; i < params.width4; i += 8u) {
        y[out + i] = narrow((x[base + i] - origin - mean) * scale * weight[i] + bias[i]);
    }
}
