// y = (x - mean) / sqrt(variance + epsilon) * weight + bias over each row, the variance from the centred values (two
// passes), since E[x^2] - E[x]^2 loses everything on rows with a large mean.
#import shared/grid.wgsl
#import shared/row_reduce.wgsl

struct Params {
    rows: u32,
    width4: u32, // D / 4
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;       // [rows, D/4]
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;  // [D/4]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;    // [D/4]
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>; // [rows, D/4]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = grid_index(group, counts) * ROWS + thread / LANES;
    let lane = thread % LANES;
    // Rows past the end compute on the last row and write nothing, so that barriers stay in uniform control flow.
    let base = min(row, params.rows - 1u) * params.width4;
    let width = f32(params.width4 * 4u);

    var sum = vec4<f32>(0.0);
    for (var i = lane; i < params.width4; i += LANES) {
        sum += x[base + i];
    }
    let mean = row_sum(dot(sum, vec4(1.0)), thread) / width;

    var squares = vec4<f32>(0.0);
    for (var i = lane; i < params.width4; i += LANES) {
        let centred = x[base + i] - mean;
        squares += centred * centred;
    }
    let variance = row_sum(dot(squares, vec4(1.0)), thread) / width;
    let scale = 1.0 / sqrt(variance + params.epsilon);

    if row < params.rows {
        for (var i = lane; i < params.width4; i += LANES) {
            y[base + i] = (x[base + i] - mean) * scale * weight[i] + bias[i];
        }
    }
}
