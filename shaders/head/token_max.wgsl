// Adds to each image's logits `share` times the largest logit that any patch token gives each class (the auxiliary head
// of LV-ViT).
#import shared/float.wgsl
#import shared/grid.wgsl

struct Params {
    images: u32,  // B
    tokens: u32,  // T
    prefix: u32,  // E; prefix tokens do not count
    classes: u32,
    share: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;      // [B, T, classes]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [B, classes]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = grid_index(group, counts) * 64u + thread;
    if index >= params.images * params.classes {
        return;
    }
    let column = index % params.classes;
    let rows = index / params.classes * params.tokens;
    var most = x[(rows + params.prefix) * params.classes + column];
    for (var token = params.prefix + 1u; token < params.tokens; token++) {
        let value = x[(rows + token) * params.classes + column];
        // NaN is kept, because it shows that something overflowed. A plain comparison would lose it.
        if value > most || is_nan(value) {
            most = select(value, most, is_nan(most));
        }
    }
    y[index] += params.share * most;
}
