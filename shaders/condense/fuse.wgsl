// Eq. 12: every kept token that dropped ones are assigned to becomes the weighted mean of itself and them, where it lies.
// No other token moves: the rows at which those that go on lie are listed, and what reads tokens next reads them by that
// list (norm2, and the residual of fc2, which puts them next to each other). Sums run in the order in which dropped tokens
// are listed, so two runs give the same bits. LANES neighbouring threads share a token that changes; behind them, a thread
// for each token that goes on finds its row and size.
#import shared/float.wgsl

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
@group(0) @binding(1) var<storage, read_write> tokens: array<vec4<f32>>;  // [B, E + N, D/4]
@group(0) @binding(2) var<storage, read> sizes: array<f32>;               // [B, E + N]
@group(0) @binding(3) var<storage, read> order: array<u32>;               // [B, N]
@group(0) @binding(4) var<storage, read> assigned: array<u32>;            // [B, R]
@group(0) @binding(5) var<storage, read> connection: array<f32>;          // C[q, p] [B, R]
@group(0) @binding(6) var<storage, read> diagonal: array<f32>;            // C[p, p] [B, R]
@group(0) @binding(7) var<storage, read_write> fused_sizes: array<f32>;   // [B, E + N - R]
@group(0) @binding(8) var<storage, read_write> rows: array<u32>;          // [B, E + N - R]: where in tokens each is

// Threads that share a token: few on a CPU, where every thread of a subgroup costs; on a GPU enough to wait for memory once.
override LANES: u32 = 8u;
// Members that are loaded before any is added, 1 or 4: so that a GPU waits for memory once, where a CPU would only load what
// is no member.
override AHEAD: u32 = 1u;

// A dropped token, and whether it is fused into a certain other: its row of tokens, and how it counts.
struct Member {
    row: u32,
    weight: f32,
    counts: bool,
}

fn member_at(r: u32, end: u32, own: u32, incoming: u32, listed: u32, matches: u32, plain: bool) -> Member {
    let index = min(r, end - 1u);
    let row = incoming + order[listed + index];
    let counts = r < end && assigned[matches + index] == own;
    let weight = select(select(sizes[row], connection[matches + index], WEIGHTS != 2u), 1.0, plain);
    return Member(row, select(0.0, weight, counts), counts);
}

// Makes the token that dropped token number `place` of an image goes to, if that is the first to go there. Members lie
// where no one writes: they were dropped.
fn fuse(image: u32, place: u32, lane: u32) {
    let incoming = image * (params.prefix + params.patches) + params.prefix;
    let listed = image * params.patches + params.patches - params.dropped;
    let matches = image * params.dropped;
    let index = matches + place;
    let own = assigned[index];
    // One past the last match, and how many there are.
    var end = place;
    var members = 1.0;
    for (var r = 0u; r < params.dropped; r++) {
        if assigned[matches + r] == own {
            if r < place {
                return;
            }
            end = r + 1u;
            members += 1.0;
        }
    }
    let own_row = incoming + own;
    let own_weight = select(sizes[own_row], diagonal[index], WEIGHTS != 2u);
    var weights = own_weight;
    for (var r = place; r < end; r++) {
        if assigned[matches + r] == own {
            weights += select(sizes[incoming + order[listed + r]], connection[matches + r], WEIGHTS != 2u);
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
    let target4 = own_row * params.width4;
    // Most tokens have one match.
    let member0 = incoming + order[listed + place];
    let source4 = member0 * params.width4;
    let kept_weight = select(own_weight, 1.0, plain);
    let match_weight = select(select(sizes[member0], connection[index], WEIGHTS != 2u), 1.0, plain);
    for (var element = lane; element < params.width4; element += LANES) {
        var sum = tokens[target4 + element] * kept_weight + tokens[source4 + element] * match_weight;
        for (var r = place + 1u; r < end; r += AHEAD) {
            if AHEAD == 1u {
                if assigned[matches + r] == own {
                    let m = member_at(r, end, own, incoming, listed, matches, plain);
                    sum += tokens[m.row * params.width4 + element] * m.weight;
                }
            } else {
                let m0 = member_at(r, end, own, incoming, listed, matches, plain);
                let m1 = member_at(r + 1u, end, own, incoming, listed, matches, plain);
                let m2 = member_at(r + 2u, end, own, incoming, listed, matches, plain);
                let m3 = member_at(r + 3u, end, own, incoming, listed, matches, plain);
                var t0 = vec4<f32>(0.0);
                var t1 = vec4<f32>(0.0);
                var t2 = vec4<f32>(0.0);
                var t3 = vec4<f32>(0.0);
                if m0.counts { t0 = tokens[m0.row * params.width4 + element]; }
                if m1.counts { t1 = tokens[m1.row * params.width4 + element]; }
                if m2.counts { t2 = tokens[m2.row * params.width4 + element]; }
                if m3.counts { t3 = tokens[m3.row * params.width4 + element]; }
                sum += t0 * m0.weight;
                sum += t1 * m1.weight;
                sum += t2 * m2.weight;
                sum += t3 * m3.weight;
            }
        }
        tokens[target4 + element] = sum / divisor;
    }
}

// Notes where the token that goes on as number `place` of an image lies, and how many patches it stands for.
fn list(image: u32, place: u32) {
    let kept = params.patches - params.dropped;
    let index = image * (params.prefix + kept) + place;
    let incoming = image * (params.prefix + params.patches);
    let listed = image * params.patches;
    let matches = image * params.dropped;
    if place < params.prefix {
        rows[index] = incoming + place;
        fused_sizes[index] = sizes[incoming + place];
        return;
    }
    let own = order[listed + place - params.prefix];
    let row = incoming + params.prefix + own;
    var size = sizes[row];
    if WEIGHTS != 0u {
        for (var r = 0u; r < params.dropped; r++) {
            if assigned[matches + r] == own {
                size += sizes[incoming + params.prefix + order[listed + kept + r]];
            }
        }
    }
    rows[index] = row;
    fused_sizes[index] = size;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let image = group.y;
    let index = group.x * 64u + thread;
    let fusing = params.dropped * LANES;
    if index < fusing {
        if WEIGHTS != 0u {
            fuse(image, index / LANES, index % LANES);
        }
    } else if index - fusing < params.prefix + params.patches - params.dropped {
        list(image, index - fusing);
    }
}
