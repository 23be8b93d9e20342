// D[b, j] = mean over heads of probs[b, h, 0, E + j]: how much the class token attends to each patch token.
struct Params {
    tokens: u32, // T
    prefix: u32, // E
    heads: u32,  // H
    stride: u32, // elements of a row of probs
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> probs: array<f32>;           // [B, H, T, stride]
@group(0) @binding(2) var<storage, read_write> dominance: array<f32>; // [B, N]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let patches = params.tokens - params.prefix;
    let token = group.x * 64u + thread;
    if token >= patches {
        return;
    }
    let image = group.y;
    let head = params.tokens * params.stride;
    var at = image * params.heads * head + params.prefix + token;
    var sum = 0.0;
    for (var h = 0u; h < params.heads; h++) {
        sum += probs[at];
        at += head;
    }
    dominance[image * patches + token] = sum / f32(params.heads);
}
