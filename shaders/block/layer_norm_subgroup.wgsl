// What layer_norm.wgsl makes, a row to an octet, or with SPREAD to a whole subgroup, whose lanes' loads lie side by side. A
// lane keeps its CHUNKS vec4s of the row in registers, and with octets weights and biases for EACH rows; rows too long for
// that (CHUNKS 0, of octets only) are read twice. Squares are then summed of differences to the mean of the row's first 32
// elements: near the row's mean, so that taking the square of their mean off loses nothing, unless an outlier is among them.
// Where it lost more than a factor of 16 the squares are summed again.
#import block/layer_norm_params.wgsl
#import shared/grid.wgsl
#import shared/octet.wgsl
#import shared/output.wgsl

// With GATHER, row i of y is made of row rows[i] of x.
override GATHER: bool = false;

// Lanes that share a row: an octet, or with SPREAD all of a subgroup, which then has so many.
override LANES: u32 = 8u;
override SPREAD: bool = false;
// vec4s of a row that a lane keeps, at most 24 in octets, 8 spread.
override CHUNKS: u32 = 0u;
// Rows that the lanes make one after the other, with CHUNKS only.
override EACH: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;       // [rows, D/4]; with GATHER as many as `rows` names
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;  // [D/4]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;    // [D/4]
@group(0) @binding(4) var<storage, read_write> y: array<Output4>;   // [rows, D/4]
@group(0) @binding(5) var<storage, read> rows: array<u32>;          // [rows], read with GATHER only

alias Kept = array<vec4<f32>, 24>;

// What lanes make a row of, and where this one is among them.
struct Place {
    octet: Octet, // or the subgroup
    source: u32, // the row's first vec4 in x
    out: u32,    // and in y
    width: f32,
}

// A lane's vec4 number k of a row; the last one once more past the end.
fn at(lane: u32, k: u32) -> u32 {
    return min(lane + LANES * k, params.width4 - 1u);
}

fn exists(lane: u32, k: u32) -> bool {
    return k + 1u < CHUNKS || lane + LANES * k < params.width4;
}

// The sum over the lanes of a row of what they have summed.
fn whole(sum: vec4<f32>) -> f32 {
    let own = dot(sum, vec4(1.0));
    if SPREAD {
        return subgroupAdd(own);
    }
    return octet_sum(own);
}

fn normalise_kept(weights: ptr<function, Kept>, biases: ptr<function, Kept>, place: Place) {
    let lane = place.octet.lane;
    var row: Kept;
    for (var k = 0u; k < CHUNKS; k++) {
        row[k] = x[place.source + at(lane, k)];
    }
    // Differences to the first element are exact where the mean is large.
    let origin = subgroupShuffle(row[0].x, place.octet.first);
    var sum = vec4<f32>(0.0);
    for (var k = 0u; k < CHUNKS; k++) {
        row[k] -= origin;
        sum += select(vec4(0.0), row[k], exists(lane, k));
    }
    let mean = whole(sum) / place.width;
    var squares = vec4<f32>(0.0);
    for (var k = 0u; k < CHUNKS; k++) {
        row[k] -= mean;
        squares += select(vec4(0.0), row[k] * row[k], exists(lane, k));
    }
    let scale = 1.0 / sqrt(whole(squares) / place.width + params.epsilon);
    for (var k = 0u; k < CHUNKS; k++) {
        if exists(lane, k) {
            y[place.out + lane + LANES * k] = narrow(row[k] * scale * (*weights)[k] + (*biases)[k]);
        }
    }
}

// vec4 number k of a row less `origin`; nothing past the end.
fn spread_of(place: Place, k: u32, origin: f32) -> vec4<f32> {
    return select(vec4(0.0), x[place.source + at(place.octet.lane, k)] - origin, exists(place.octet.lane, k));
}

fn centred(value: vec4<f32>, mean: f32, lane: u32, k: u32) -> vec4<f32> {
    return select(vec4(0.0), value - mean, k < CHUNKS && exists(lane, k));
}

fn store_spread(place: Place, k: u32, value: vec4<f32>, scale: f32) {
    let column = at(place.octet.lane, k);
    if exists(place.octet.lane, k) {
        y[place.out + column] = narrow(value * scale * weight[column] + bias[column]);
    }
}

// Written out: a driver for GPUs does not unroll such loops, and keeps what is indexed in memory.
fn normalise_spread(place: Place) {
    let lane = place.octet.lane;
    let origin = x[place.source].x;
    var v0 = spread_of(place, 0u, origin);
    var v1: vec4<f32>;
    var v2: vec4<f32>;
    var v3: vec4<f32>;
    var v4: vec4<f32>;
    var v5: vec4<f32>;
    var v6: vec4<f32>;
    var v7: vec4<f32>;
    if CHUNKS > 1u { v1 = spread_of(place, 1u, origin); }
    if CHUNKS > 2u { v2 = spread_of(place, 2u, origin); }
    if CHUNKS > 3u { v3 = spread_of(place, 3u, origin); }
    if CHUNKS > 4u { v4 = spread_of(place, 4u, origin); }
    if CHUNKS > 5u { v5 = spread_of(place, 5u, origin); }
    if CHUNKS > 6u { v6 = spread_of(place, 6u, origin); }
    if CHUNKS > 7u { v7 = spread_of(place, 7u, origin); }
    let mean = whole(((v0 + v1) + (v2 + v3)) + ((v4 + v5) + (v6 + v7))) / place.width;
    v0 = centred(v0, mean, lane, 0u);
    v1 = centred(v1, mean, lane, 1u);
    v2 = centred(v2, mean, lane, 2u);
    v3 = centred(v3, mean, lane, 3u);
    v4 = centred(v4, mean, lane, 4u);
    v5 = centred(v5, mean, lane, 5u);
    v6 = centred(v6, mean, lane, 6u);
    v7 = centred(v7, mean, lane, 7u);
    let squares = ((v0 * v0 + v1 * v1) + (v2 * v2 + v3 * v3)) + ((v4 * v4 + v5 * v5) + (v6 * v6 + v7 * v7));
    let scale = 1.0 / sqrt(whole(squares) / place.width + params.epsilon);
    store_spread(place, 0u, v0, scale);
    if CHUNKS > 1u { store_spread(place, 1u, v1, scale); }
    if CHUNKS > 2u { store_spread(place, 2u, v2, scale); }
    if CHUNKS > 3u { store_spread(place, 3u, v3, scale); }
    if CHUNKS > 4u { store_spread(place, 4u, v4, scale); }
    if CHUNKS > 5u { store_spread(place, 5u, v5, scale); }
    if CHUNKS > 6u { store_spread(place, 6u, v6, scale); }
    if CHUNKS > 7u { store_spread(place, 7u, v7, scale); }
}

fn normalise_read(place: Place) {
    let own = place.octet;
    let base = place.source;
    let width = place.width;
    // Not of what is past a short row's end: the first elements twice are near the mean, too.
    let some = x[base + own.lane % params.width4] - x[base].x;
    let origin = x[base].x + whole(some) / 32.0;
    var sum = vec4<f32>(0.0);
    var squares = vec4<f32>(0.0);
    for (var i = own.lane; i < params.width4; i += 8u) {
        let difference = x[base + i] - origin;
        sum += difference;
        squares += difference * difference;
    }
    let mean = whole(sum) / width;
    let about_origin = whole(squares) / width;
    var variance = about_origin - mean * mean;
    // NaN goes on as it is.
    if variance < about_origin / 16.0 {
        squares = vec4(0.0);
        for (var i = own.lane; i < params.width4; i += 8u) {
            let centred = x[base + i] - origin - mean;
            squares += centred * centred;
        }
        variance = whole(squares) / width;
    }
    let scale = 1.0 / sqrt(variance + params.epsilon);
    for (var i = own.lane; i < params.width4; i += 8u) {
        y[place.out + i] = narrow((x[base + i] - origin - mean) * scale * weight[i] + bias[i]);
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
) {
    var own = octet(subgroup, subgroup_size, invocation);
    if SPREAD {
        own = Octet(subgroup, 0u, invocation);
    }
    let first = (grid_index(group, counts) * (64u / LANES) + own.index) * EACH;
    var weights: Kept;
    var biases: Kept;
    if !SPREAD {
        for (var k = 0u; k < CHUNKS; k++) {
            weights[k] = weight[at(own.lane, k)];
            biases[k] = bias[at(own.lane, k)];
        }
    }
    for (var row = first; row < min(first + EACH, params.rows); row++) {
        var source = row;
        if GATHER {
            source = rows[row];
        }
        let place = Place(own, source * params.width4, row * params.width4, f32(params.width4 * 4u));
        if SPREAD {
            normalise_spread(place);
        } else if CHUNKS > 0u {
            normalise_kept(&weights, &biases, place);
        } else {
            normalise_read(place);
        }
    }
}
