// Reduces the attention probabilities in one pass. W[b, i, j] = mean over heads of probs[b, h, E + i, E + j] is the
// `attention` metric. It lacks the prefix columns and is not normalised again, so its rows sum to at most 1.
// column_sums holds the sums of W's columns over strips of eight rows, from which the mean of W's rows is computed.
// Dominance is D[b, j] = mean over heads of probs[b, h, 0, E + j]. A thread computes four columns of one strip.
#import shared/input.wgsl

struct Params {
    tokens: u32,  // T
    prefix: u32,  // E
    heads: u32,   // H
    stride4: u32, // vec4s of a row of probs
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> probs: array<Input4>;          // [B, H, T, stride4]
@group(0) @binding(2) var<storage, read_write> w: array<f32>;           // [B, N, N]
@group(0) @binding(3) var<storage, read_write> column_sums: array<f32>; // [B, strips, N]
@group(0) @binding(4) var<storage, read_write> dominance: array<f32>;   // [B, N]

const STRIP: u32 = 8u;

// The mean over heads of four probabilities from `at` on.
fn head_mean(at: u32) -> vec4<f32> {
    let head = params.tokens * params.stride4;
    var sum = vec4<f32>(0.0);
    for (var h = 0u; h < params.heads; h++) {
        sum += widen(probs[at + h * head]);
    }
    return sum / f32(params.heads);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let n = params.tokens - params.prefix;
    let strips = (n + STRIP - 1u) / STRIP;
    let index = group.x * 64u + thread;
    let strip = index / params.stride4;
    let quad = index % params.stride4;
    if strip >= strips {
        return;
    }
    let image = group.y;
    let tokens = quad * 4u + vec4(0u, 1u, 2u, 3u);
    let patch_column = (tokens >= vec4(params.prefix)) & (tokens < vec4(params.tokens));
    // The columns of prefix tokens wrap below 0; they are not stored.
    let columns = tokens - vec4(params.prefix);
    let origin = image * params.heads * params.tokens * params.stride4 + quad;

    var sum = vec4<f32>(0.0);
    let end = min(strip * STRIP + STRIP, n);
    for (var row = strip * STRIP; row < end; row++) {
        let mean = head_mean(origin + (params.prefix + row) * params.stride4);
        sum += mean;
        let out = (image * n + row) * n;
        if patch_column.x { w[out + columns.x] = mean.x; }
        if patch_column.y { w[out + columns.y] = mean.y; }
        if patch_column.z { w[out + columns.z] = mean.z; }
        if patch_column.w { w[out + columns.w] = mean.w; }
    }
    let out = (image * strips + strip) * n;
    if patch_column.x { column_sums[out + columns.x] = sum.x; }
    if patch_column.y { column_sums[out + columns.y] = sum.y; }
    if patch_column.z { column_sums[out + columns.z] = sum.z; }
    if patch_column.w { column_sums[out + columns.w] = sum.w; }
    if strip == 0u {
        let mean = head_mean(origin);
        let out = image * n;
        if patch_column.x { dominance[out + columns.x] = mean.x; }
        if patch_column.y { dominance[out + columns.y] = mean.y; }
        if patch_column.z { dominance[out + columns.z] = mean.z; }
        if patch_column.w { dominance[out + columns.w] = mean.w; }
    }
}
