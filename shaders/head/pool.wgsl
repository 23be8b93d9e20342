// What the classifier sees: the first FIRST tokens side by side (class; class and distillation), or, with FIRST = 0, the
// mean of the patch tokens, each weighted by how many patches it stands for.
struct Params {
    tokens: u32, // T
    prefix: u32, // E
    width4: u32, // D / 4
    first: u32,  // tokens to take; 0 for the mean
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;            // [B, T, D/4]
@group(0) @binding(2) var<storage, read> sizes: array<f32>;              // [B, T]
@group(0) @binding(3) var<storage, read_write> pooled: array<vec4<f32>>; // [B, max(first, 1) * D/4]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let element = group.x * 64u + thread;
    let image = group.y;
    let width = max(params.first, 1u) * params.width4;
    if element >= width {
        return;
    }
    let tokens = image * params.tokens;
    // The first tokens lie side by side in memory already.
    var value = x[tokens * params.width4 + element];
    if params.first == 0u {
        var sum = vec4<f32>(0.0);
        var weight = 0.0;
        for (var token = params.prefix; token < params.tokens; token++) {
            let size = sizes[tokens + token];
            sum += size * x[(tokens + token) * params.width4 + element];
            weight += size;
        }
        value = sum / weight;
    }
    pooled[image * width + element] = value;
}
