// The scores of ToMe. The patch tokens whose index has the parity `first` are candidates to be dropped: each scores the
// negated cosine to the nearest token of the other set. Every token of the other set gets a higher score than any
// candidate, so that all of these are kept.
#import shared/grid.wgsl

struct Params {
    images: u32,  // B
    patches: u32, // N
    first: u32,   // 0 or 1
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> cosine: array<f32>;      // [B, N, N]
@group(0) @binding(2) var<storage, read_write> score: array<f32>; // [B, N]

const STAYS: f32 = 2.0;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = grid_index(group, counts) * 64u + thread;
    if index >= params.images * params.patches {
        return;
    }
    var value = STAYS;
    if (index % params.patches) % 2u == params.first {
        var nearest = -STAYS;
        for (var other = 1u - params.first; other < params.patches; other += 2u) {
            nearest = max(nearest, cosine[index * params.patches + other]);
        }
        value = -nearest;
    }
    score[index] = value;
}
