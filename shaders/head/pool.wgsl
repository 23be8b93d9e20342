// The input of the classifier: the first FIRST tokens side by side (class; or class and distillation), then, with MEAN
// = 1, the mean of the patch tokens, weighted by their sizes.
struct Params {
    tokens: u32, // T
    prefix: u32, // E
    width4: u32, // D / 4
    first: u32,  // tokens to take from the front
    mean: u32,   // 1: the mean follows them
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;            // [B, T, D/4]
@group(0) @binding(2) var<storage, read> sizes: array<f32>;              // [B, T]
@group(0) @binding(3) var<storage, read_write> pooled: array<vec4<f32>>; // [B, (first + mean) * D/4]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let element = group.x * 64u + thread;
    let image = group.y;
    let taken = params.first * params.width4;
    let width = taken + params.mean * params.width4;
    if element >= width {
        return;
    }
    let tokens = image * params.tokens;
    if element < taken {
        // The first tokens already lie side by side in memory.
        pooled[image * width + element] = x[tokens * params.width4 + element];
    } else {
        var sum = vec4<f32>(0.0);
        var weight = 0.0;
        for (var token = params.prefix; token < params.tokens; token++) {
            let size = sizes[tokens + token];
            sum += size * x[(tokens + token) * params.width4 + element - taken];
            weight += size;
        }
        pooled[image * width + element] = sum / weight;
    }
}
