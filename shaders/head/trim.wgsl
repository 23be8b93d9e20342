// Copies rows without the columns that pad them to whole vec4s.
#import shared/grid.wgsl

struct Params {
    rows: u32,
    columns: u32,
    stride: u32, // elements of a padded row, at least `columns`
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> padded: array<f32>;     // [rows, stride]
@group(0) @binding(2) var<storage, read_write> rows: array<f32>; // [rows, columns]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = grid_index(group, counts) * 64u + thread;
    if index < params.rows * params.columns {
        rows[index] = padded[index / params.columns * params.stride + index % params.columns];
    }
}
