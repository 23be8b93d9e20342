// attention.wgsl by cooperative matrices, of f16 with f32 sums, for heads of up to 8 whole matrices. A workgroup takes one
// head of one image, and each of its subgroups as many queries as a matrix has rows. Rows of a matrix cannot be shrunk once
// they are summed up, so powers are of differences to the largest logit of the first chunk of keys; where a later logit is
// so much larger that f16 has no room for its power, the workgroup begins again with the largest of all. Logits pass through
// workgroup memory, which is where threads can see them; powers are rounded to f16 on their way back.
#import shared/cooperative.wgsl
#import shared/cooperative_rows.wgsl
#import shared/grid.wgsl
#import shared/output.wgsl

struct Params {
    tokens: u32,        // T
    heads: u32,         // H
    images: u32,        // B
    row4: u32,          // vec4s from one token of qkv to the next
    key_offset4: u32,   // vec4s from a token's queries to its keys
    value_offset4: u32, // vec4s from a token's queries to its values
    head4: u32,         // Dh / 4
    scale: f32,
}

override PROPORTIONAL: bool = false;

// Logits may be so much larger than the first chunk's: the power is 22,026 then, of 65,504.
const ROOM: f32 = 10.0;
// Whether a query has a logit that is larger.
var<workgroup> has_no_room: u32;

// Queries, and afterwards powers; keys, then values of one chunk.
override LEFT8: u32 = SUBGROUPS * SIDE * (max(HEAD8, KEYS8) + 1u);
override RIGHT8: u32 = 2u * KEYS * (HEAD8 + 1u);
override VALUES8: u32 = KEYS * (HEAD8 + 1u);

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Eight>;            // [B, T, row4 / 2]
@group(0) @binding(2) var<storage, read> sizes: array<f32>;            // [B, T], read with PROPORTIONAL only
@group(0) @binding(3) var<storage, read_write> y: array<Output4>;      // [B, T, H * head4]
@group(0) @binding(4) var<storage, read_write> rows: array<vec2<f32>>; // [B, H, T]: largest logit, 1 / sum of powers

// A thread's part of a chunk's keys or values; zero past the last token.
fn fetch(at: u32, origin8: u32, chunk: u32) -> Eight {
    let token = chunk + at / HEAD8;
    if at < KEYS * HEAD8 && token < params.tokens {
        return qkv[origin8 + token * (params.row4 / 2u) + at % HEAD8];
    }
    return Eight();
}

fn stage(at: u32, place8: u32, value: Eight) {
    if at < KEYS * HEAD8 {
        put_right(place8 + at / HEAD8 * (HEAD8 + 1u) + at % HEAD8, value);
    }
}

// What is fetched while the chunk before is worked on: two of a thread's parts, which is all where heads are narrow.
struct Ahead {
    first: Eight,
    second: Eight,
}

fn fetch_ahead(thread: u32, origin8: u32, chunk: u32) -> Ahead {
    return Ahead(fetch(thread, origin8, chunk), fetch(thread + THREADS, origin8, chunk));
}

fn stage_chunk(thread: u32, origin8: u32, chunk: u32, place8: u32, ahead: Ahead) {
    stage(thread, place8, ahead.first);
    stage(thread + THREADS, place8, ahead.second);
    for (var at = thread + 2u * THREADS; at < KEYS * HEAD8; at += THREADS) {
        stage(at, place8, fetch(at, origin8, chunk));
    }
}

// Logits of four keys.
fn logits(place4: u32, image: u32, key: u32) -> vec4<f32> {
    let keys = vec4(key) + vec4(0u, 1u, 2u, 3u);
    let last = params.tokens - 1u;
    var bias = vec4(0.0);
    if PROPORTIONAL {
        let place = image * params.tokens + min(keys, vec4(last));
        bias = log(vec4(sizes[place.x], sizes[place.y], sizes[place.z], sizes[place.w]));
    }
    bias = select(vec4(LOWEST), bias, keys <= vec4(last));
    return take_sum(place4) * params.scale + bias;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) index: u32,
    @builtin(subgroup_size) count: u32,
) {
    let tiles = (params.tokens + SUBGROUPS * SIDE - 1u) / (SUBGROUPS * SIDE);
    let unit = min(grid_index(group, counts), tiles * params.heads * params.images - 1u);
    let first_query = unit % tiles * SUBGROUPS * SIDE;
    let head = unit / tiles % params.heads;
    let image = unit / tiles / params.heads;
    let row8 = params.row4 / 2u;
    let origin8 = image * params.tokens * row8 + head * HEAD8;
    let keys8 = origin8 + params.key_offset4 / 2u;
    let values8 = origin8 + params.value_offset4 / 2u;

    // Queries past the last one compute on it, and store nothing.
    for (var at = thread; at < SUBGROUPS * SIDE * HEAD8; at += THREADS) {
        let query = min(first_query + at / HEAD8, params.tokens - 1u);
        put_left(at / HEAD8 * (HEAD8 + 1u) + at % HEAD8, qkv[origin8 + query * row8 + at % HEAD8]);
    }
    var next_keys = fetch_ahead(thread, keys8, 0u);
    workgroupBarrier();
    let own = min(subgroup, SUBGROUPS - 1u);
    let q = load_queries(own * SIDE * (HEAD8 + 1u));

    let place = place_of(subgroup, index, count);
    let row4 = place.slot * SLOT4 + place.row * STRIDE4;
    var most = LOWEST;
    // What powers are of differences to.
    var origin = 0.0;
    var sum = 0.0;
    var o0: Sum;
    var o1: Sum;
    var o2: Sum;
    var o3: Sum;
    var o4: Sum;
    var o5: Sum;
    var o6: Sum;
    var o7: Sum;
    var next_values = fetch_ahead(thread, values8, 0u);
    let powers4 = own * SIDE * 2u * (KEYS8 + 1u);
    if thread == 0u {
        has_no_room = 0u;
    }
    for (var attempt = 0u; attempt < 2u; attempt++) {
        if attempt > 0u {
            origin = row_max(most, place.lanes);
            sum = 0.0;
            o0 = nothing();
            if HEAD > 1u { o1 = nothing(); }
            if HEAD > 2u { o2 = nothing(); }
            if HEAD > 3u { o3 = nothing(); }
            if HEAD > 4u { o4 = nothing(); }
            if HEAD > 5u { o5 = nothing(); }
            if HEAD > 6u { o6 = nothing(); }
            if HEAD > 7u { o7 = nothing(); }
        }
        for (var chunk = 0u; chunk < params.tokens; chunk += KEYS) {
            workgroupBarrier();
            stage_chunk(thread, keys8, chunk, 0u, next_keys);
            stage_chunk(thread, values8, chunk, VALUES8, next_values);
            workgroupBarrier();
            // After the last chunk the first, for another attempt.
            let next = select(0u, chunk + KEYS, chunk + KEYS < params.tokens);
            next_keys = fetch_ahead(thread, keys8, next);
            next_values = fetch_ahead(thread, values8, next);
            multiply_keys(q, 0u, place.slot);
            subgroupBarrier();
            if chunk == 0u && attempt == 0u {
                for (var at = place.first; at < place.end; at++) {
                    let values = logits(row4 + at, image, at * 4u);
                    most = max(most, max(max(values.x, values.y), max(values.z, values.w)));
                }
                origin = row_max(most, place.lanes);
            }
            for (var at = place.first; at < place.end; at++) {
                let values = logits(row4 + at, image, chunk + at * 4u);
                most = max(most, max(max(values.x, values.y), max(values.z, values.w)));
                let power = vec4<f16>(exp(values - origin));
                // As rounded: what weighs the values must sum up to one.
                let rounded = vec4<f32>(power);
                sum += rounded.x + rounded.y + rounded.z + rounded.w;
                if place.stores {
                    put_left4(powers4 + place.row * 2u * (KEYS8 + 1u) + at, power);
                }
            }
            subgroupBarrier();
            for (var k8 = 0u; k8 < KEYS8; k8 += SIDE / 8u) {
                let p = load_left(own * SIDE * (KEYS8 + 1u) + k8, KEYS8 + 1u);
                let v = VALUES8 + k8 * 8u * (HEAD8 + 1u);
                o0 = coopMultiplyAdd(p, load_right(v, HEAD8 + 1u), o0);
                if HEAD > 1u { o1 = coopMultiplyAdd(p, load_right(v + 1u * SIDE / 8u, HEAD8 + 1u), o1); }
                if HEAD > 2u { o2 = coopMultiplyAdd(p, load_right(v + 2u * SIDE / 8u, HEAD8 + 1u), o2); }
                if HEAD > 3u { o3 = coopMultiplyAdd(p, load_right(v + 3u * SIDE / 8u, HEAD8 + 1u), o3); }
                if HEAD > 4u { o4 = coopMultiplyAdd(p, load_right(v + 4u * SIDE / 8u, HEAD8 + 1u), o4); }
                if HEAD > 5u { o5 = coopMultiplyAdd(p, load_right(v + 5u * SIDE / 8u, HEAD8 + 1u), o5); }
                if HEAD > 6u { o6 = coopMultiplyAdd(p, load_right(v + 6u * SIDE / 8u, HEAD8 + 1u), o6); }
                if HEAD > 7u { o7 = coopMultiplyAdd(p, load_right(v + 7u * SIDE / 8u, HEAD8 + 1u), o7); }
            }
        }
        if most - origin > ROOM {
            has_no_room = 1u;
        }
        if workgroupUniformLoad(&has_no_room) == 0u {
            break;
        }
    }
    most = row_max(most, place.lanes);

    let inverse = 1.0 / row_sum(sum, place.lanes);
    let query = first_query + own * SIDE + place.row;
    let stores = place.stores && query < params.tokens;
    if stores && place.first == 0u {
        rows[(image * params.heads + head) * params.tokens + query] = vec2(most, inverse * exp(most - origin));
    }
    let out = Target(
        stores,
        row4,
        (image * params.tokens + query) * params.heads * params.head4 + head * params.head4,
        inverse,
    );
    store_sum(o0, place, out, 0u);
    if HEAD > 1u { store_sum(o1, place, out, 1u); }
    if HEAD > 2u { store_sum(o2, place, out, 2u); }
    if HEAD > 3u { store_sum(o3, place, out, 3u); }
    if HEAD > 4u { store_sum(o4, place, out, 4u); }
    if HEAD > 5u { store_sum(o5, place, out, 5u); }
    if HEAD > 6u { store_sum(o6, place, out, 6u); }
    if HEAD > 7u { store_sum(o7, place, out, 7u); }
}

fn nothing() -> Sum {
    var sum: Sum;
    return sum;
}

// Where a thread's part of a row goes.
struct Target {
    stores: bool,
    row4: u32, // in `sums`
    y: u32,
    inverse: f32,
}

fn store_sum(sum: Sum, place: Place, out: Target, matrix: u32) {
    subgroupBarrier();
    put_sum(sum, place.slot * SLOT4, STRIDE4);
    subgroupBarrier();
    for (var at = place.part; at < SIDE / 4u; at += place.lanes) {
        if out.stores {
            y[out.y + matrix * SIDE / 4u + at] = narrow(take_sum(out.row4 + at) * out.inverse);
        }
    }
}
