// Eq. 12: every kept token becomes the weighted mean of itself and the dropped tokens assigned to it; prefix tokens and
// kept tokens with no match are copied. Sums run in the order in which dropped tokens are listed, so two runs give the
// same bits. Eight neighbouring threads share a token: they look for its matches once for all the elements they make.
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

const LANES: u32 = 8u;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let kept = params.patches - params.dropped;
    let remaining = params.prefix + kept;
    let index = grid_index(group, counts) * 64u + thread;
    let row = index / LANES;
    let lane = index % LANES;
    if row >= params.images * remaining {
        return;
    }
    let image = row / remaining;
    let place = row - image * remaining;
    let incoming = image * (params.prefix + params.patches);
    let listed = image * params.patches;
    let matches = image * params.dropped;
    var own = 0u;
    var own_row = incoming + place;
    // The first match, one past the last, and what they add up to.
    var first = params.dropped;
    var end = 0u;
    var members = 1.0;
    var size = 0.0;
    var weights = 0.0;
    if place >= params.prefix {
        own = order[listed + place - params.prefix];
        own_row = incoming + params.prefix + own;
        if WEIGHTS != 0u {
            for (var r = 0u; r < params.dropped; r++) {
                if assigned[matches + r] == own {
                    first = min(first, r);
                    end = r + 1u;
                    members += 1.0;
                }
            }
        }
    }
    let own_size = sizes[own_row];
    let source = own_row * params.width4;
    let out = row * params.width4;
    if end == 0u {
        for (var element = lane; element < params.width4; element += LANES) {
            fused[out + element] = tokens[source + element];
        }
        if lane == 0u {
            fused_sizes[row] = own_size;
        }
        return;
    }

    size = own_size;
    let own_weight = select(own_size, diagonal[matches + first], WEIGHTS != 2u);
    weights = own_weight;
    for (var r = first; r < end; r++) {
        if assigned[matches + r] == own {
            let member_size = sizes[incoming + params.prefix + order[listed + kept + r]];
            weights += select(member_size, connection[matches + r], WEIGHTS != 2u);
            size += member_size;
        }
    }
    // A sum of weights that is zero or not finite says nothing about who matters: the plain mean.
    let plain = WEIGHTS != 3u && !(weights != 0.0 && is_finite(weights));
    var divisor = weights;
    if plain {
        divisor = members;
    } else if WEIGHTS == 3u {
        divisor = 1.0;
    }
    for (var element = lane; element < params.width4; element += LANES) {
        var sum = tokens[source + element] * select(own_weight, 1.0, plain);
        for (var r = first; r < end; r++) {
            if assigned[matches + r] == own {
                let member = incoming + params.prefix + order[listed + kept + r];
                var weight = 1.0;
                if !plain {
                    weight = select(sizes[member], connection[matches + r], WEIGHTS != 2u);
                }
                sum += tokens[member * params.width4 + element] * weight;
            }
        }
        fused[out + element] = sum / divisor;
    }
    if lane == 0u {
        fused_sizes[row] = size;
    }
}
