// y[b, i, h] = sum over j of P[b, h, i, j] v[b, j, h], where P is the row softmax of scale * q[b, i, h] . k[b, j, h] (+
// ln(size[b, j]) with PROPORTIONAL). P is never stored. A workgroup takes 32 queries of one head and image, and goes
// over the keys in chunks of 32. If a chunk holds a query's largest logit so far, the query's earlier sums are scaled
// down. A thread has 4 queries, 4 of the chunk's keys and COLUMNS vec4s of the head; 8 threads have the same queries.
// `rows` receives the numbers from which P can be computed again.
#import block/attention_params.wgsl
#import shared/input.wgsl
#import shared/output.wgsl

override PROPORTIONAL: bool = false;
override COLUMNS: u32 = 4u; // vec4s of a head for each of 8 threads, at most 4

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Input4>;           // [B, T, row4]
@group(0) @binding(2) var<storage, read> sizes: array<f32>;            // [B, T], read with PROPORTIONAL only
@group(0) @binding(3) var<storage, read_write> y: array<Output4>;      // [B, T, H * head4]
@group(0) @binding(4) var<storage, read_write> rows: array<vec2<f32>>; // [B, H, T]: max logit, 1 / sum of exponentials

const LOWEST: f32 = -3.4028234e38;

var<workgroup> partials: array<vec4<f32>, 64>; // [8, 8]: one vec4 for each thread, one query in each component
var<workgroup> powers: array<vec4<f32>, 256>;  // [32, 32/4]: for each query, the exponentials of the chunk's keys

fn load(at: vec4<u32>, element: u32) -> mat4x4<f32> {
    let place = at + min(element, params.head4 - 1u);
    return mat4x4(widen(qkv[place.x]), widen(qkv[place.y]), widen(qkv[place.z]), widen(qkv[place.w]));
}

fn store(at: u32, queries: u32, element: u32, sums: mat4x4<f32>, inverse: vec4<f32>) {
    if element < params.head4 {
        let width = params.heads * params.head4;
        if queries > 0u { y[at + element] = narrow(sums[0] * inverse.x); }
        if queries > 1u { y[at + width + element] = narrow(sums[1] * inverse.y); }
        if queries > 2u { y[at + 2u * width + element] = narrow(sums[2] * inverse.z); }
        if queries > 3u { y[at + 3u * width + element] = narrow(sums[3] * inverse.w); }
    }
}

// Scales each column by its own factor.
fn scaled(m: mat4x4<f32>, by: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(m[0] * by.x, m[1] * by.y, m[2] * by.z, m[3] * by.w);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let lane = thread % 8u;
    let queries = thread / 8u;
    let query = group.x * 32u + queries * 4u;
    let head = group.y;
    let image = group.z;
    let last = params.tokens - 1u;
    let origin = image * params.tokens * params.row4 + head * params.head4;
    let keys = origin + params.key_offset4;
    let values = origin + params.value_offset4;
    // Queries past the end compute on the last one and store nothing, so that barriers stay in uniform control flow.
    let q = origin + min(vec4(query) + vec4(0u, 1u, 2u, 3u), vec4(last)) * params.row4;
    var most = vec4(LOWEST); // the largest logit of each of the four queries
    var sum = vec4(0.0);     // of exponentials, over this thread's keys
    var a = mat4x4<f32>();   // the sums for y, with a query in each column; b, c and e likewise
    var b = mat4x4<f32>();
    var c = mat4x4<f32>();
    var e = mat4x4<f32>();
    for (var chunk = 0u; chunk < params.tokens; chunk += 32u) {
        let key = vec4(chunk + lane * 4u) + vec4(0u, 1u, 2u, 3u);
        let k = keys + min(key, vec4(last)) * params.row4;
        var s = mat4x4<f32>();
        for (var d = 0u; d < params.head4; d++) {
            s += transpose(load(k, d)) * load(q, d);
        }
        // Keys past the end are copies of the last one with a weight of 0.
        var bias = vec4(0.0);
        if PROPORTIONAL {
            let place = image * params.tokens + min(key, vec4(last));
            bias = log(vec4(sizes[place.x], sizes[place.y], sizes[place.z], sizes[place.w]));
        }
        bias = select(vec4(LOWEST), bias, key <= vec4(last));
        let logits = s * params.scale + mat4x4(bias, bias, bias, bias);
        let across = transpose(logits);
        partials[thread] = max(max(across[0], across[1]), max(across[2], across[3]));
        workgroupBarrier();
        let before = most;
        for (var other = 0u; other < 8u; other++) {
            most = max(most, partials[queries * 8u + other]);
        }
        let shrink = exp(before - most);
        let p0 = exp(logits[0] - most.x);
        let p1 = exp(logits[1] - most.y);
        let p2 = exp(logits[2] - most.z);
        let p3 = exp(logits[3] - most.w);
        powers[queries * 32u + lane] = p0;
        powers[queries * 32u + 8u + lane] = p1;
        powers[queries * 32u + 16u + lane] = p2;
        powers[queries * 32u + 24u + lane] = p3;
        let ones = vec4(1.0);
        sum = sum * shrink + vec4(dot(p0, ones), dot(p1, ones), dot(p2, ones), dot(p3, ones));
        a = scaled(a, shrink);
        if COLUMNS > 1u { b = scaled(b, shrink); }
        if COLUMNS > 2u { c = scaled(c, shrink); }
        if COLUMNS > 3u { e = scaled(e, shrink); }
        // The barrier also lets the next chunk overwrite `partials`: all threads have read them.
        workgroupBarrier();
        let lanes = min(8u, (params.tokens - chunk + 3u) / 4u);
        for (var other = 0u; other < lanes; other++) {
            let place = queries * 32u + other;
            let p = mat4x4(powers[place], powers[place + 8u], powers[place + 16u], powers[place + 24u]);
            let key = vec4(chunk + other * 4u) + vec4(0u, 1u, 2u, 3u);
            let v = values + min(key, vec4(last)) * params.row4;
            a += load(v, lane) * p;
            if COLUMNS > 1u { b += load(v, lane + 8u) * p; }
            if COLUMNS > 2u { c += load(v, lane + 16u) * p; }
            if COLUMNS > 3u { e += load(v, lane + 24u) * p; }
        }
    }
    workgroupBarrier();
    partials[thread] = sum;
    workgroupBarrier();
    sum = partials[queries * 8u];
    for (var other = 1u; other < 8u; other++) {
        sum += partials[queries * 8u + other];
    }
    let inverse = 1.0 / sum;
    let rest = params.tokens - min(query, params.tokens);
    if lane < min(rest, 4u) {
        rows[(image * params.heads + head) * params.tokens + query + lane] = vec2(most[lane], inverse[lane]);
    }
    let width = params.heads * params.head4;
    let at = (image * params.tokens + query) * width + head * params.head4;
    store(at, rest, lane, a, inverse);
    if COLUMNS > 1u { store(at, rest, lane + 8u, b, inverse); }
    if COLUMNS > 2u { store(at, rest, lane + 16u, c, inverse); }
    if COLUMNS > 3u { store(at, rest, lane + 24u, e, inverse); }
}
