// Eq. 12: every kept token becomes the weighted mean of itself and the dropped tokens assigned to it; prefix tokens and
// kept tokens with no match are copied. Sums run in the order in which dropped tokens are listed, so two runs give the
// same bits.
#import shared/float.wgsl
#import shared/grid.wgsl

struct Params {
    images: u32,  // B
    prefix: u32,  // E
    patches: u32, // N
    dropped: u32, // R
    width4: u32,  // D / 4
}

// How a member counts: 0 not at all (plain pruning), 1 by connectivity (C[p, p] and C[q, p]), 2 by size, 3 by
// connectivity without dividing by the sum of weights (EViT).
override WEIGHTS: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> tokens: array<vec4<f32>>;           // [B, E + N, D/4]
@group(0) @binding(2) var<storage, read> sizes: array<f32>;                  // [B, E + N]
@group(0) @binding(3) var<storage, read> order: array<u32>;                  // [B, N]
@group(0) @binding(4) var<storage, read> assigned: array<u32>;               // [B, R]
@group(0) @binding(5) var<storage, read> connection: array<f32>;             // C[q, p] [B, R]
@group(0) @binding(6) var<storage, read> diagonal: array<f32>;               // C[p, p] [B, R]
@group(0) @binding(7) var<storage, read_write> fused: array<vec4<f32>>;      // [B, E + N - R, D/4]
@group(0) @binding(8) var<storage, read_write> fused_sizes: array<f32>;      // [B, E + N - R]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let kept = params.patches - params.dropped;
    let remaining = params.prefix + kept;
    let index = grid_index(group, counts) * 64u + thread;
    if index >= params.images * remaining * params.width4 {
        return;
    }
    let element = index % params.width4;
    let row = index / params.width4;
    let place = row % remaining;
    let image = row / remaining;
    let incoming = image * (params.prefix + params.patches);
    if place < params.prefix {
        fused[index] = tokens[(incoming + place) * params.width4 + element];
        if element == 0u {
            fused_sizes[row] = sizes[incoming + place];
        }
        return;
    }

    let listed = image * params.patches;
    let own = order[listed + place - params.prefix];
    let own_row = incoming + params.prefix + own;
    let own_value = tokens[own_row * params.width4 + element];
    var size = sizes[own_row];
    var weighted = vec4<f32>(0.0);
    var weights = 0.0;
    var plain = own_value;
    var members = 1.0;
    if WEIGHTS != 0u {
        for (var r = 0u; r < params.dropped; r++) {
            let match_index = image * params.dropped + r;
            if assigned[match_index] == own {
                let member_row = incoming + params.prefix + order[listed + kept + r];
                let member = tokens[member_row * params.width4 + element];
                let member_size = sizes[member_row];
                if members == 1.0 {
                    weights = select(sizes[own_row], diagonal[match_index], WEIGHTS != 2u);
                    weighted = own_value * weights;
                }
                let weight = select(member_size, connection[match_index], WEIGHTS != 2u);
                weighted += member * weight;
                weights += weight;
                plain += member;
                members += 1.0;
                size += member_size;
            }
        }
    }
    var value = own_value;
    if members > 1.0 {
        // A sum of weights that is zero or not finite says nothing about who matters: the plain mean.
        if WEIGHTS == 3u {
            value = weighted;
        } else if weights != 0.0 && is_finite(weights) {
            value = weighted / weights;
        } else {
            value = plain / members;
        }
    }
    fused[index] = value;
    if element == 0u {
        fused_sizes[row] = size;
    }
}
