// A patch token's mean key over the heads, scaled to unit length, so that the dot product of two keys is their cosine.
// Eight threads compute one key. A key of length 0 stays 0, so that its cosine with any key is 0. A whole token is
// treated as the key of a single head. The shader that imports this sums the squares over the eight threads.
#import condense/key_mean_params.wgsl
#import shared/grid.wgsl
#import shared/input.wgsl
#import shared/output.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Input4>; // [B, T, row4]
@group(0) @binding(2) var<storage, read_write> keys: array<Output4>; // [B, N, head4]

// Stores vec4 `d` of key `i` of an image that has `patches` keys.
fn put(image: u32, patches: u32, i: u32, d: u32, value: vec4<f32>) {
    keys[(image * patches + i) * params.head4 + d] = narrow(value);
}

const THREADS_OF_KEY: u32 = 8u;

// The part of a key that one of its threads computes: vec4s number lane, lane + 8 and so on. The first four stay in
// registers, which covers keys of up to 128 dimensions. The others, which only whole tokens have, are read again.
struct Part {
    source: u32,
    lane: u32,
    first: vec4<f32>,
    second: vec4<f32>,
    third: vec4<f32>,
    fourth: vec4<f32>,
}

// The number of keys of all images.
fn count_of_keys() -> u32 {
    return params.images * (params.tokens - params.prefix);
}

// Four dimensions of a token's mean key; 0 past the last dimension.
fn mean_at(source: u32, d: u32) -> vec4<f32> {
    var sum = vec4<f32>(0.0);
    if d < params.head4 {
        for (var h = 0u; h < params.heads; h++) {
            sum += widen(qkv[source + h * params.head4 + d]);
        }
    }
    return sum / f32(params.heads);
}

// A thread's part of key `index`, counted over all images.
fn part_of(index: u32, lane: u32) -> Part {
    let patches = params.tokens - params.prefix;
    let token = params.prefix + index % patches;
    let source = (index / patches * params.tokens + token) * params.row4 + params.key_offset4;
    return Part(
        source,
        lane,
        mean_at(source, lane),
        mean_at(source, lane + THREADS_OF_KEY),
        mean_at(source, lane + 2u * THREADS_OF_KEY),
        mean_at(source, lane + 3u * THREADS_OF_KEY),
    );
}

fn squares_of(part: Part) -> f32 {
    var squares = dot(part.first, part.first) + dot(part.second, part.second);
    squares += dot(part.third, part.third) + dot(part.fourth, part.fourth);
    for (var d = part.lane + 4u * THREADS_OF_KEY; d < params.head4; d += THREADS_OF_KEY) {
        let mean = mean_at(part.source, d);
        squares += dot(mean, mean);
    }
    return squares;
}

fn store_four(index: u32, d: u32, value: vec4<f32>) {
    if d < params.head4 {
        let patches = params.tokens - params.prefix;
        put(index / patches, patches, index % patches, d, value);
    }
}

// Stores a thread's part of key `index`. `square` is the squared length of the key.
fn store(index: u32, part: Part, square: f32) {
    let scale = select(0.0, 1.0 / sqrt(square), square > 0.0);
    store_four(index, part.lane, part.first * scale);
    store_four(index, part.lane + THREADS_OF_KEY, part.second * scale);
    store_four(index, part.lane + 2u * THREADS_OF_KEY, part.third * scale);
    store_four(index, part.lane + 3u * THREADS_OF_KEY, part.fourth * scale);
    for (var d = part.lane + 4u * THREADS_OF_KEY; d < params.head4; d += THREADS_OF_KEY) {
        store_four(index, d, mean_at(part.source, d) * scale);
    }
}
