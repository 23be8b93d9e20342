// The mean over heads of each patch token's keys, scaled to unit length: the dot product of two is their cosine. A
// key of length 0 stays 0, so its cosine to anything is 0. A whole token counts as one key of one head.
#import shared/grid.wgsl
#import shared/input.wgsl

struct Params {
    images: u32,      // B
    tokens: u32,      // T
    prefix: u32,      // E
    heads: u32,       // H
    row4: u32,        // vec4s from one token of qkv to the next
    key_offset4: u32, // vec4s from a token's queries to its keys
    head4: u32,       // Dh / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Input4>;           // [B, T, row4]
@group(0) @binding(2) var<storage, read_write> keys: array<vec4<f32>>; // [B, N, Dh/4]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let patches = params.tokens - params.prefix;
    let index = grid_index(group, counts) * 64u + thread;
    if index >= params.images * patches {
        return;
    }
    let image = index / patches;
    let token = params.prefix + index % patches;
    let source = (image * params.tokens + token) * params.row4 + params.key_offset4;
    let target_row = index * params.head4;
    var squares = 0.0;
    for (var d = 0u; d < params.head4; d++) {
        var sum = vec4<f32>(0.0);
        for (var h = 0u; h < params.heads; h++) {
            sum += widen(qkv[source + h * params.head4 + d]);
        }
        let mean = sum / f32(params.heads);
        keys[target_row + d] = mean;
        squares += dot(mean, mean);
    }
    let scale = select(0.0, 1.0 / sqrt(squares), squares > 0.0);
    for (var d = 0u; d < params.head4; d++) {
        keys[target_row + d] *= scale;
    }
}
