// attention.wgsl without workgroup memory: an octet has 8 GROUPS queries of one head and image, and goes over the keys
// in chunks of 32. A lane holds the logits of 4 keys, and the sums of COLUMNS vec4s of the head. It reads queries and
// exponentials from the other lanes.
#import block/attention_params.wgsl
#import shared/grid.wgsl
#import shared/input.wgsl
#import shared/octet.wgsl
#import shared/output.wgsl

override PROPORTIONAL: bool = false;
override GROUPS: u32 = 3u;  // groups of 8 queries, at most 3
override COLUMNS: u32 = 4u; // vec4s of a head for each of 8 lanes, at most 4

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Input4>;           // [B, T, row4]
@group(0) @binding(2) var<storage, read> sizes: array<f32>;            // [B, T], read with PROPORTIONAL only
@group(0) @binding(3) var<storage, read_write> y: array<Output4>;      // [B, T, H * head4]
@group(0) @binding(4) var<storage, read_write> rows: array<vec2<f32>>; // [B, H, T]: max logit, 1 / sum of exponentials

const LOWEST: f32 = -3.4028234e38;

// The state of the softmax for eight queries.
struct Softmax {
    most: array<f32, 8>,   // the largest logit so far
    sum: array<f32, 8>,    // this lane's part of the sum of exponentials so far
    shrink: array<f32, 8>, // factor for earlier sums, after the last chunk
}

// For eight queries, the weighted sums of the values: `a` has the four dimensions from 4 lane on, `b` the four from 4
// lane + 32 on, and so on.
struct Sums {
    a: Rows,
    b: Rows,
    c: Rows,
    d: Rows,
}

fn start() -> Softmax {
    var softmax = Softmax();
    softmax.most = array(LOWEST, LOWEST, LOWEST, LOWEST, LOWEST, LOWEST, LOWEST, LOWEST);
    return softmax;
}

// Turns one query's dot products into exponentials, and updates its softmax.
fn raise(s: ptr<function, Rows>, softmax: ptr<function, Softmax>, bias: vec4<f32>, r: u32) {
    let logits = (*s)[r] * params.scale + bias;
    let before = (*softmax).most[r];
    let most = max(before, octet_max(max(max(logits.x, logits.y), max(logits.z, logits.w))));
    let shrink = exp(before - most);
    (*s)[r] = exp(logits - most);
    (*softmax).most[r] = most;
    (*softmax).shrink[r] = shrink;
    (*softmax).sum[r] = (*softmax).sum[r] * shrink + dot((*s)[r], vec4(1.0));
}

fn shrink(sums: ptr<function, Sums>, softmax: ptr<function, Softmax>, r: u32) {
    let factor = (*softmax).shrink[r];
    (*sums).a[r] *= factor;
    if COLUMNS > 1u { (*sums).b[r] *= factor; }
    if COLUMNS > 2u { (*sums).c[r] *= factor; }
    if COLUMNS > 3u { (*sums).d[r] *= factor; }
}

fn next_chunk(s: ptr<function, Rows>, softmax: ptr<function, Softmax>, sums: ptr<function, Sums>, bias: vec4<f32>) {
    raise(s, softmax, bias, 0u);
    raise(s, softmax, bias, 1u);
    raise(s, softmax, bias, 2u);
    raise(s, softmax, bias, 3u);
    raise(s, softmax, bias, 4u);
    raise(s, softmax, bias, 5u);
    raise(s, softmax, bias, 6u);
    raise(s, softmax, bias, 7u);
    shrink(sums, softmax, 0u);
    shrink(sums, softmax, 1u);
    shrink(sums, softmax, 2u);
    shrink(sums, softmax, 3u);
    shrink(sums, softmax, 4u);
    shrink(sums, softmax, 5u);
    shrink(sums, softmax, 6u);
    shrink(sums, softmax, 7u);
}

// Element `lane` of an array of eight. A dynamic index would keep the array in memory instead of registers.
fn own_of(all: array<f32, 8>, lane: u32) -> f32 {
    let low = select(vec2(all[0], all[1]), vec2(all[2], all[3]), (lane & 2u) > 0u);
    let high = select(vec2(all[4], all[5]), vec2(all[6], all[7]), (lane & 2u) > 0u);
    let pair = select(low, high, (lane & 4u) > 0u);
    return select(pair.x, pair.y, (lane & 1u) > 0u);
}

// Adds the values of 4 keys, weighted by their exponentials, which lane `lane` of the subgroup holds.
fn weigh(sums: ptr<function, Sums>, s: ptr<function, Rows>, values: array<mat4x4<f32>, 4>, lane: u32, r: u32) {
    let powers = subgroupShuffle((*s)[r], lane);
    (*sums).a[r] += values[0] * powers;
    if COLUMNS > 1u { (*sums).b[r] += values[1] * powers; }
    if COLUMNS > 2u { (*sums).c[r] += values[2] * powers; }
    if COLUMNS > 3u { (*sums).d[r] += values[3] * powers; }
}

fn weigh_all(sums: ptr<function, Sums>, s: ptr<function, Rows>, values: array<mat4x4<f32>, 4>, lane: u32) {
    weigh(sums, s, values, lane, 0u);
    weigh(sums, s, values, lane, 1u);
    weigh(sums, s, values, lane, 2u);
    weigh(sums, s, values, lane, 3u);
    weigh(sums, s, values, lane, 4u);
    weigh(sums, s, values, lane, 5u);
    weigh(sums, s, values, lane, 6u);
    weigh(sums, s, values, lane, 7u);
}

// Where an octet's results are stored.
struct Target {
    image: u32,
    row: u32,     // of its first query, among the rows of all heads of its image
    y: u32,       // of its first query's first dimension
    queries: u32, // that exist from its first query on
    lane: u32,
}

fn store_element(at: u32, element: u32, value: vec4<f32>) {
    if element < params.head4 {
        y[at + element] = narrow(value);
    }
}

fn store(sums: ptr<function, Sums>, softmax: ptr<function, Softmax>, out: Target, r: u32, query: u32) {
    let inverse = (*softmax).sum[r];
    if query >= out.queries {
        return;
    }
    let at = out.y + query * params.heads * params.head4;
    store_element(at, out.lane, (*sums).a[r] * inverse);
    if COLUMNS > 1u { store_element(at, out.lane + 8u, (*sums).b[r] * inverse); }
    if COLUMNS > 2u { store_element(at, out.lane + 16u, (*sums).c[r] * inverse); }
    if COLUMNS > 3u { store_element(at, out.lane + 24u, (*sums).d[r] * inverse); }
}

fn invert(softmax: ptr<function, Softmax>, r: u32) {
    (*softmax).sum[r] = 1.0 / octet_sum((*softmax).sum[r]);
}

fn store_all(sums: ptr<function, Sums>, softmax: ptr<function, Softmax>, out: Target, query: u32) {
    invert(softmax, 0u);
    invert(softmax, 1u);
    invert(softmax, 2u);
    invert(softmax, 3u);
    invert(softmax, 4u);
    invert(softmax, 5u);
    invert(softmax, 6u);
    invert(softmax, 7u);
    if query + out.lane < out.queries {
        let row = out.image * params.heads * params.tokens + out.row + query + out.lane;
        rows[row] = vec2(own_of((*softmax).most, out.lane), own_of((*softmax).sum, out.lane));
    }
    store(sums, softmax, out, 0u, query + 0u);
    store(sums, softmax, out, 1u, query + 1u);
    store(sums, softmax, out, 2u, query + 2u);
    store(sums, softmax, out, 3u, query + 3u);
    store(sums, softmax, out, 4u, query + 4u);
    store(sums, softmax, out, 5u, query + 5u);
    store(sums, softmax, out, 6u, query + 6u);
    store(sums, softmax, out, 7u, query + 7u);
}

// One vec4 of dimensions of four keys or four values.
fn load(at: vec4<u32>, element: u32) -> mat4x4<f32> {
    let place = at + min(element, params.head4 - 1u);
    return mat4x4(widen(qkv[place.x]), widen(qkv[place.y]), widen(qkv[place.z]), widen(qkv[place.w]));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
) {
    let own = octet(subgroup, subgroup_size, invocation);
    let tiles = (params.tokens + 8u * GROUPS - 1u) / (8u * GROUPS);
    let tile = grid_index(group, counts) * OCTETS + own.index;
    if tile >= tiles * params.heads * params.images {
        return;
    }
    let first = own.first;
    let lane = own.lane;
    let query = tile % tiles * 8u * GROUPS;
    let head = tile / tiles % params.heads;
    let image = tile / tiles / params.heads;
    let last = params.tokens - 1u;
    let origin = image * params.tokens * params.row4 + head * params.head4;
    let keys = origin + params.key_offset4;
    let values = origin + params.value_offset4;
    let q0 = origin + min(query + lane, last) * params.row4;
    let q1 = origin + min(query + 8u + lane, last) * params.row4;
    let q2 = origin + min(query + 16u + lane, last) * params.row4;
    var softmax0 = start();
    var softmax1 = start();
    var softmax2 = start();
    var sums0 = Sums();
    var sums1 = Sums();
    var sums2 = Sums();
    for (var chunk = 0u; chunk < params.tokens; chunk += 32u) {
        // Keys past the end are copies of the last one with a weight of 0.
        let key = vec4(chunk + lane * 4u) + vec4(0u, 1u, 2u, 3u);
        let k = keys + min(key, vec4(last)) * params.row4;
        var s0 = Rows();
        var s1 = Rows();
        var s2 = Rows();
        for (var d = 0u; d < params.head4; d++) {
            let transposed = transpose(load(k, d));
            multiply(&s0, transposed, widen(qkv[q0 + d]), first);
            if GROUPS > 1u { multiply(&s1, transposed, widen(qkv[q1 + d]), first); }
            if GROUPS > 2u { multiply(&s2, transposed, widen(qkv[q2 + d]), first); }
        }
        var bias = vec4<f32>(0.0);
        if PROPORTIONAL {
            let place = image * params.tokens + min(key, vec4(last));
            bias = log(vec4(sizes[place.x], sizes[place.y], sizes[place.z], sizes[place.w]));
        }
        bias = select(vec4(LOWEST), bias, key <= vec4(last));
        next_chunk(&s0, &softmax0, &sums0, bias);
        if GROUPS > 1u { next_chunk(&s1, &softmax1, &sums1, bias); }
        if GROUPS > 2u { next_chunk(&s2, &softmax2, &sums2, bias); }
        let lanes = min(8u, (params.tokens - chunk + 3u) / 4u);
        for (var other = 0u; other < lanes; other++) {
            let key = vec4(chunk + other * 4u) + vec4(0u, 1u, 2u, 3u);
            let v = values + min(key, vec4(last)) * params.row4;
            var columns = array<mat4x4<f32>, 4>();
            columns[0] = load(v, lane);
            if COLUMNS > 1u { columns[1] = load(v, lane + 8u); }
            if COLUMNS > 2u { columns[2] = load(v, lane + 16u); }
            if COLUMNS > 3u { columns[3] = load(v, lane + 24u); }
            weigh_all(&sums0, &s0, columns, first + other);
            if GROUPS > 1u { weigh_all(&sums1, &s1, columns, first + other); }
            if GROUPS > 2u { weigh_all(&sums2, &s2, columns, first + other); }
        }
    }
    let row = head * params.tokens + query;
    let width = params.heads * params.head4;
    let out = Target(image, row, (image * params.tokens + query) * width + head * params.head4, params.tokens - query, lane);
    store_all(&sums0, &softmax0, out, 0u);
    if GROUPS > 1u { store_all(&sums1, &softmax1, out, 8u); }
    if GROUPS > 2u { store_all(&sums2, &softmax2, out, 16u); }
}
