// layer_norm.wgsl with an octet for each row, or with SPREAD a whole subgroup, whose lanes then load neighbouring
// vec4s. A lane keeps its CHUNKS vec4s of the row in registers, and octets also keep weights and biases there for EACH
// rows.
//
// Rows too long for that (CHUNKS 0, octets only) are read twice: once for the sums and once to store y. The kernel then
// sums the squares of the differences to the mean of the row's first 32 elements. That mean is near the row's mean, so
// that subtracting the square of the remaining mean loses little precision, unless an outlier is among the 32. If the
// subtraction cancels more than a factor of 16, the squares of the differences to the row's mean are summed instead.
#import block/layer_norm_params.wgsl
#import shared/grid.wgsl
#import shared/octet.wgsl
#import shared/output.wgsl

// With GATHER, row i of y is computed from row rows[i] of x.
override GATHER: bool = false;

// Lanes that compute one row: an octet, or with SPREAD a whole subgroup, which then has exactly LANES threads.
override LANES: u32 = 8u;
override SPREAD: bool = false;
// vec4s of a row that a lane keeps in registers: at most 24 in octets, at most 8 with SPREAD.
override CHUNKS: u32 = 0u;
// Rows that the lanes compute one after the other; more than 1 only with CHUNKS.
override EACH: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;       // [rows, D/4]; with GATHER, all that `rows` names
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;  // [D/4]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;    // [D/4]
@group(0) @binding(4) var<storage, read_write> y: array<Output4>;   // [rows, D/4]
@group(0) @binding(5) var<storage, read> rows: array<u32>;          // [rows], read with GATHER only

alias Kept = array<vec4<f32>, 24>;

// The lanes that compute a row, and where the row lies.
struct Place {
    octet: Octet, // or, with SPREAD, the subgroup as one
    source: u32, // the row's first vec4 in x
    out: u32,    // the row's first vec4 in y
    width: f32,
}

// The index in the row of a lane's vec4 number k; past the end it is the last one.
fn at(lane: u32, k: u32) -> u32 {
    return min(lane + LANES * k, params.width4 - 1u);
}

fn exists(lane: u32, k: u32) -> bool {
    return k + 1u < CHUNKS || lane + LANES * k < params.width4;
}

// The sum over the four components and over all lanes of a row.
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

// A lane's vec4 number k of a row, less `origin`; 0 past the end.
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

// The loop is written out. A GPU's driver would not unroll it, and would keep arrays with a loop's index in memory.
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
    // A row shorter than 32 elements is wrapped around: its first elements are then counted more than once, and the
    // result is still near the mean.
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
    // If the variance is NaN, the comparison is false and y becomes NaN.
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
