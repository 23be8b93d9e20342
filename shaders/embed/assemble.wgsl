// The network's first tokens: the prefix tokens (class, distillation, registers; their position was added when they
// were loaded), then the projected patches plus their position.
#import shared/grid.wgsl

struct Params {
    images: u32,  // B
    prefix: u32,  // E
    patches: u32, // N
    width4: u32,  // D / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> projected: array<vec4<f32>>;    // [B, N, D/4]
@group(0) @binding(2) var<storage, read> prefix: array<vec4<f32>>;       // [E, D/4]
@group(0) @binding(3) var<storage, read> position: array<vec4<f32>>;     // [N, D/4]
@group(0) @binding(4) var<storage, read_write> tokens: array<vec4<f32>>; // [B, E + N, D/4]
@group(0) @binding(5) var<storage, read_write> sizes: array<f32>;        // [B, E + N], set to 1

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let count = params.prefix + params.patches;
    let index = grid_index(group, counts) * 64u + thread;
    if index >= params.images * count * params.width4 {
        return;
    }
    let element = index % params.width4;
    let row = index / params.width4;
    let token = row % count;
    let image = row / count;
    if token < params.prefix {
        tokens[index] = prefix[token * params.width4 + element];
    } else {
        let patch_token = token - params.prefix;
        tokens[index] = projected[(image * params.patches + patch_token) * params.width4 + element]
            + position[patch_token * params.width4 + element];
    }
    if element == 0u {
        sizes[row] = 1.0;
    }
}
