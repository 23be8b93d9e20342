// y = (x - mean) / sqrt(variance + epsilon) * weight + bias over each row. If the mean is large, E[x^2] - E[x]^2
// cancels to noise, and the mean of x is off by a few units in its last place. So the variance is taken of centred
// values (in a second pass), and the mean is taken of the differences to the row's first element, which are exact where
// the mean is large.
#import block/layer_norm_params.wgsl
#import shared/grid.wgsl
#import shared/output.wgsl
#import shared/row_reduce.wgsl

// With GATHER, row i of y is computed from row rows[i] of x.
override GATHER: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;       // [rows, D/4]; with GATHER, all that `rows` names
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;  // [D/4]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;    // [D/4]
@group(0) @binding(4) var<storage, read_write> y: array<Output4>;   // [rows, D/4]
@group(0) @binding(5) var<storage, read> rows: array<u32>;          // [rows], read with GATHER only

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = grid_index(group, counts) * ROWS + thread / LANES;
    let lane = thread % LANES;
    // Rows past the end compute on the last row and write nothing, so that barriers stay in uniform control flow.
    let within = min(row, params.rows - 1u);
    var source = within;
    if GATHER {
        source = rows[within];
    }
    let base = source * params.width4;
    let out = within * params.width4;
    let width = f32(params.width4 * 4u);

    let origin = x[base].x;
    var sum = vec4<f32>(0.0);
    for (var i = lane; i < params.width4; i += LANES) {
        sum += x[base + i] - origin;
    }
    let mean = row_sum(dot(sum, vec4(1.0)), thread) / width;

    var squares = vec4<f32>(0.0);
    for (var i = lane; i < params.width4; i += LANES) {
        let centred = x[base + i] - origin - mean;
        squares += centred * centred;
    }
    let variance = row_sum(dot(squares, vec4(1.0)), thread) / width;
    let scale = 1.0 / sqrt(variance + params.epsilon);

    if row < params.rows {
        for (var i = lane; i < params.width4; i += LANES) {
            y[out + i] = narrow((x[base + i] - origin - mean) * scale * weight[i] + bias[i]);
        }
    }
}
