// W[b, i, j] = mean over heads of probs[b, h, E + i, E + j]: the `attention` metric. Not renormalised after the prefix
// columns are cut, so rows sum to at most 1.
#import shared/grid.wgsl

struct Params {
    images: u32, // B
    tokens: u32, // T
    prefix: u32, // E
    heads: u32,  // H
    stride: u32, // elements of a row of probs
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> probs: array<f32>;   // [B, H, T, stride]
@group(0) @binding(2) var<storage, read_write> w: array<f32>; // [B, N, N]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let patches = params.tokens - params.prefix;
    let index = grid_index(group, counts) * 64u + thread;
    if index >= params.images * patches * patches {
        return;
    }
    let image = index / (patches * patches);
    let element = index % (patches * patches);
    let query = params.prefix + element / patches;
    let key = params.prefix + element % patches;
    let head = params.tokens * params.stride;
    var at = image * params.heads * head + query * params.stride + key;
    var sum = 0.0;
    for (var h = 0u; h < params.heads; h++) {
        sum += probs[at];
        at += head;
    }
    w[index] = sum / f32(params.heads);
}
