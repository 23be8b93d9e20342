// Eq. 12: every kept token that dropped tokens are assigned to becomes the weighted mean of itself and these, in place.
// No other token moves. `rows` lists where the tokens that go on lie, and the next kernels read them through that list
// (norm2, and fc2 for its residual, whose output has the tokens next to each other again). Sums run in the order in
// which dropped tokens are listed, so that two runs give the same bits. LANES neighbouring threads compute one fused
// token. After these threads come others, one for each token that goes on, which find its row and size.
#import shared/float.wgsl

struct Params {
    images: u32,  // B
    prefix: u32,  // E
    patches: u32, // N
    dropped: u32, // R
    width4: u32,  // D / 4
}

// The weight of a fused token: 0 none, since nothing is fused (plain pruning); 1 its connectivity (C[p, p] and C[q,
// p]); 2 its size; 3 its connectivity, without a division by the sum of weights (EViT).
override WEIGHTS: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> tokens: array<vec4<f32>>;  // [B, E + N, D/4]
@group(0) @binding(2) var<storage, read> sizes: array<f32>;               // [B, E + N]
@group(0) @binding(3) var<storage, read> order: array<u32>;               // [B, N]
@group(0) @binding(4) var<storage, read> assigned: array<u32>;            // [B, R]
@group(0) @binding(5) var<storage, read> connection: array<f32>;          // C[q, p] [B, R]
@group(0) @binding(6) var<storage, read> diagonal: array<f32>;            // C[p, p] [B, R]
@group(0) @binding(7) var<storage, read_write> fused_sizes: array<f32>;   // [B, E + N - R]
@group(0) @binding(8) var<storage, read_write> rows: array<u32>;          // [B, E + N - R]: the row of `tokens`

// Threads that compute one fused token: few on a software adapter, where every additional thread costs time; on a GPU
// so many that the threads wait for memory only once.
override LANES: u32 = 8u;
// Members that are loaded before any is added, 1 or 4. With 4 a GPU waits for memory once for all four; a software
// adapter would only load tokens that are not members.
override AHEAD: u32 = 1u;

// A dropped token as a member of a fused token: its row of `tokens`, its weight, and whether it is fused into that
// token at all.
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

// Computes the fused token that dropped token number `place` of an image is assigned to, if no earlier dropped token is
// assigned to the same. The members' rows are only read: they belong to dropped tokens, which no thread writes.
fn fuse(image: u32, place: u32, lane: u32) {
    let incoming = image * (params.prefix + params.patches) + params.prefix;
    let listed = image * params.patches + params.patches - params.dropped;
    let matches = image * params.dropped;
    let index = matches + place;
    let own = assigned[index];
    // `end` is one past the last member, and `members` counts them, with the kept token.
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
    // If the sum of weights is zero or not finite, the weights are meaningless, and the plain mean is taken.
    let plain = WEIGHTS != 3u && !(weights != 0.0 && is_finite(weights));
    var divisor = weights;
    if plain {
        divisor = members;
    } else if WEIGHTS == 3u {
        divisor = 1.0;
    }
    let target4 = own_row * params.width4;
    // Most fused tokens have one dropped member, which is loaded here.
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

// Stores the row and the size of the token that goes on as number `place` of an image. The size is how many patches the
// token stands for.
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
