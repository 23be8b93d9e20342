// The mean over heads of each patch token's keys, scaled to unit length: the dot product of two is their cosine. A
// key of length 0 stays 0, so its cosine to anything is 0. A whole token counts as one key of one head. Eight threads share a
// token.
#import shared/grid.wgsl
#import shared/input.wgsl
#import shared/row_reduce.wgsl

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
    let index = grid_index(group, counts) * ROWS + thread / LANES;
    let lane = thread % LANES;
    // Rows past the end make the last one again, to reach the barriers, and do not store it.
    let stored = index < params.images * patches;
    let row = min(index, params.images * patches - 1u);
    let token = params.prefix + row % patches;
    let source = (row / patches * params.tokens + token) * params.row4 + params.key_offset4;
    let target_row = row * params.head4;
    var squares = 0.0;
    for (var d = lane; d < params.head4; d += LANES) {
        var mean = widen(qkv[source + d]);
        if params.heads > 1u {
            for (var h = 1u; h < params.heads; h++) {
                mean += widen(qkv[source + h * params.head4 + d]);
            }
            mean /= f32(params.heads);
            if stored {
                keys[target_row + d] = mean;
            }
        }
        squares += dot(mean, mean);
    }
    squares = row_sum(squares, thread);
    if !stored {
        return;
    }
    let scale = select(0.0, 1.0 / sqrt(squares), squares > 0.0);
    for (var d = lane; d < params.head4; d += LANES) {
        if params.heads > 1u {
            keys[target_row + d] *= scale;
        } else {
            keys[target_row + d] = widen(qkv[source + d]) * scale;
        }
    }
}
