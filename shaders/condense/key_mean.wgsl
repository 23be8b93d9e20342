// The mean over heads of each patch token's keys, scaled to unit length: the dot product of two is their cosine. A
// key of length 0 stays 0, so its cosine to anything is 0. A whole token counts as one key of one head.
#import shared/grid.wgsl
#import shared/input.wgsl
#import shared/row_reduce.wgsl
#import shared/units.wgsl

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
@group(0) @binding(1) var<storage, read> qkv: array<Input4>; // [B, T, row4]

// Four dimensions of a token's mean key; past the last there is nothing.
fn mean_at(source: u32, d: u32) -> vec4<f32> {
    var sum = vec4<f32>(0.0);
    if d < params.head4 {
        for (var h = 0u; h < params.heads; h++) {
            sum += widen(qkv[source + h * params.head4 + d]);
        }
    }
    return sum / f32(params.heads);
}

fn store(index: u32, d: u32, value: vec4<f32>) {
    if d < params.head4 {
        let patches = params.tokens - params.prefix;
        put(index / patches, patches, index % patches, d, value);
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let patches = params.tokens - params.prefix;
    let rows = params.images * patches;
    let index = grid_index(group, counts) * ROWS + thread / LANES;
    let lane = thread % LANES;
    // Keys past the end are the last one once more and are not written, so that barriers stay in uniform control flow.
    let within = min(index, rows - 1u);
    let token = params.prefix + within % patches;
    let source = (within / patches * params.tokens + token) * params.row4 + params.key_offset4;
    // What a thread has of a key of up to 128 dimensions stays in registers. The rest, which only whole tokens have, is
    // read again.
    let first = mean_at(source, lane);
    let second = mean_at(source, lane + LANES);
    let third = mean_at(source, lane + 2u * LANES);
    let fourth = mean_at(source, lane + 3u * LANES);
    var squares = dot(first, first) + dot(second, second) + dot(third, third) + dot(fourth, fourth);
    for (var d = lane + 4u * LANES; d < params.head4; d += LANES) {
        let mean = mean_at(source, d);
        squares += dot(mean, mean);
    }
    let square = row_sum(squares, thread);
    let scale = select(0.0, 1.0 / sqrt(square), square > 0.0);
    if index < rows {
        store(index, lane, first * scale);
        store(index, lane + LANES, second * scale);
        store(index, lane + 2u * LANES, third * scale);
        store(index, lane + 3u * LANES, fourth * scale);
        for (var d = lane + 4u * LANES; d < params.head4; d += LANES) {
            store(index, d, mean_at(source, d) * scale);
        }
    }
}
