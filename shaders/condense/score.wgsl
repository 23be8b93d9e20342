// Eq. 11, S = -c + b D, one workgroup for each image. With NORMALISE c is divided by its own sum, which makes the scale
// of C immaterial; without it `scale` restores the true one.
struct Params {
    patches: u32, // N
    beta: f32,    // b
    scale: f32,   // true c = scale * c
}

override NORMALISE: bool = true;
override CONNECTIVITY: bool = true; // whether c counts
override DOMINANCE: bool = true;    // whether D counts

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> connectivity: array<f32>; // c [B, N]
@group(0) @binding(2) var<storage, read> dominance: array<f32>;    // D [B, N]
@group(0) @binding(3) var<storage, read_write> score: array<f32>;  // S [B, N]

var<workgroup> partials: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first = group.x * params.patches;
    var factor = params.scale;
    if NORMALISE && CONNECTIVITY {
        var sum = 0.0;
        for (var i = thread; i < params.patches; i += 64u) {
            sum += connectivity[first + i];
        }
        partials[thread] = sum;
        workgroupBarrier();
        sum = 0.0;
        for (var i = 0u; i < 64u; i++) {
            sum += partials[i];
        }
        factor = 1.0 / sum;
    }
    for (var i = thread; i < params.patches; i += 64u) {
        var value = 0.0;
        if CONNECTIVITY {
            value -= connectivity[first + i] * factor;
        }
        if DOMINANCE {
            value += select(1.0, params.beta, CONNECTIVITY) * dominance[first + i];
        }
        score[first + i] = value;
    }
}
