// S[i] = (1 - u[i]) D[i]^g size[i]^h, u[i] the largest cosine of i to a token that outranks it in dominance (equal dominance: the
// lower index outranks), -1 where none does. Of two near-twins only the less dominant one can then go.
#import shared/float.wgsl
#import shared/grid.wgsl

struct Params {
    images: u32,   // B
    patches: u32,  // N
    prefix: u32,   // E
    exponent: f32, // g
    size_exponent: f32, // h
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> cosine: array<f32>;      // [B, N, N], symmetric
@group(0) @binding(2) var<storage, read> dominance: array<f32>;   // [B, N]
@group(0) @binding(3) var<storage, read> sizes: array<f32>;       // [B, E + N], at least 1
@group(0) @binding(4) var<storage, read_write> score: array<f32>; // [B, N]

// D^g; 0 and NaN, where the logarithm inside pow is of no use, come out as themselves.
fn power(base: f32) -> f32 {
    if params.exponent == 0.0 {
        return select(1.0, base, is_nan(base));
    }
    return select(base, pow(base, params.exponent), base > 0.0);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = grid_index(group, counts) * 64u + thread;
    if index >= params.images * params.patches {
        return;
    }
    let token = index % params.patches;
    let image = index / params.patches;
    let first = image * params.patches;
    let own = dominance[index];
    var most = -1.0;
    // Down a column: neighbouring threads read neighbouring elements, and the matrix is symmetric.
    var at = first * params.patches + token;
    for (var other = 0u; other < params.patches; other++) {
        let theirs = dominance[first + other];
        if theirs > own || (theirs == own && other < token) {
            most = max(most, cosine[at]);
        }
        at += params.patches;
    }
    let size = sizes[image * (params.prefix + params.patches) + params.prefix + token];
    score[index] = (1.0 - most) * power(own) * pow(size, params.size_exponent);
}
