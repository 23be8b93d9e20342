// attention.wgsl by cooperative matrices of f16 with f32 sums, for heads that are 1 to 8 matrices wide. A workgroup
// takes one head of one image, and each of its subgroups takes as many queries as a matrix has rows. The rows of a
// matrix of sums cannot be scaled down, so the exponentials are of the logit less the largest logit of the first matrix
// of keys. If a later logit is so much larger that its exponential does not fit in f16, the workgroup begins again with
// the largest of all logits. Logits pass through workgroup memory, where threads can read them; their exponentials are
// rounded to f16 and pass back the same way. Queries are loaded from storage as matrices.
#import block/attention_params.wgsl
#import shared/cooperative.wgsl
#import shared/cooperative_rows.wgsl
#import shared/grid.wgsl
#import shared/output.wgsl
#import shared/words.wgsl

override PROPORTIONAL: bool = false;

// The most by which a logit may exceed the largest logit of the first matrix. The exponential of this difference is
// 22,026; the largest f16 is 65,504.
const ROOM: f32 = 10.0;
// Whether some query of this workgroup has a logit that exceeds the largest of the first matrix by more than that.
var<workgroup> has_no_room: u32;

// `left` holds the exponentials, `right` the keys of one chunk and then its values. Rows are stored eight f16 further
// apart than they are long, so that the rows of one matrix lie in different banks.
const POWERS8: u32 = SIDE / 8u + 1u;
override LEFT8: u32 = SUBGROUPS * SIDE * POWERS8;
override RIGHT8: u32 = 2u * KEYS * (HEAD8 + 1u);
override VALUES8: u32 = KEYS * (HEAD8 + 1u);

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<vec4<u32>>;        // [B, T, row4 / 2], eight f16 each
@group(0) @binding(2) var<storage, read> queries: array<f16>;          // [B, T, row4 * 4], qkv as f16; >= SIDE tokens
@group(0) @binding(3) var<storage, read> sizes: array<f32>;            // [B, T], read with PROPORTIONAL only
@group(0) @binding(4) var<storage, read_write> y: array<Output4>;      // [B, T, H * head4]
@group(0) @binding(5) var<storage, read_write> rows: array<vec2<f32>>; // [B, H, T]: max logit, 1 / sum of exponentials

// The eight numbers with index `at` of a chunk's keys or values. Tokens past the end repeat the last token, with
// exponentials of 0. For an index past the chunk, numbers are loaded too but not stored in workgroup memory. So all
// threads take the same branches.
fn fetch(at: u32, origin8: u32, chunk: u32) -> vec4<u32> {
    let token = min(chunk + at / HEAD8, params.tokens - 1u);
    return qkv[origin8 + token * (params.row4 / 2u) + at % HEAD8];
}

fn stage(at: u32, place8: u32, value: vec4<u32>) {
    if at < KEYS * HEAD8 {
        put_right(place8 + at / HEAD8 * (HEAD8 + 1u) + at % HEAD8, eight(value));
    }
}

// The two fetches that a thread makes while the chunk before is multiplied. For narrow heads these are all of its
// fetches.
struct Ahead {
    first: vec4<u32>,
    second: vec4<u32>,
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

// The logits of four keys. With `is_last`, the keys past the last token get the lowest logit.
fn logits(place4: u32, image: u32, key: u32, is_last: bool) -> vec4<f32> {
    let keys = vec4(key) + vec4(0u, 1u, 2u, 3u);
    let last = params.tokens - 1u;
    var value = take_sum(place4) * params.scale;
    if PROPORTIONAL {
        let place = image * params.tokens + min(keys, vec4(last));
        value += log(vec4(sizes[place.x], sizes[place.y], sizes[place.z], sizes[place.w]));
    }
    if is_last {
        value = select(vec4(LOWEST), value, keys <= vec4(last));
    }
    return value;
}

// A thread's part of a row of logits. Elements past its end have the lowest logit, so their exponentials are 0.
struct Part {
    a: vec4<f32>,
    b: vec4<f32>,
}

fn part_of(row4: u32, place: Place, image: u32, first_key: u32, is_last: bool) -> Part {
    var part = Part(vec4(LOWEST), vec4(LOWEST));
    if place.first < place.end {
        part.a = logits(row4 + place.first, image, first_key + place.first * 4u, is_last);
    }
    if place.first + 1u < place.end {
        part.b = logits(row4 + place.first + 1u, image, first_key + (place.first + 1u) * 4u, is_last);
    }
    return part;
}

fn largest(part: Part) -> f32 {
    let both = max(part.a, part.b);
    return max(max(both.x, both.y), max(both.z, both.w));
}

// The queries of one head of SIDE tokens, from the element `at` on. All of these tokens must exist.
fn load_queries(at: u32) -> Queries {
    let stride = params.row4 * 4u;
    var q: Queries;
    q.m0 = coopLoadT<Left>(&queries[at], stride);
    if HEAD > 1u { q.m1 = coopLoadT<Left>(&queries[at + 1u * SIDE], stride); }
    if HEAD > 2u { q.m2 = coopLoadT<Left>(&queries[at + 2u * SIDE], stride); }
    if HEAD > 3u { q.m3 = coopLoadT<Left>(&queries[at + 3u * SIDE], stride); }
    if HEAD > 4u { q.m4 = coopLoadT<Left>(&queries[at + 4u * SIDE], stride); }
    if HEAD > 5u { q.m5 = coopLoadT<Left>(&queries[at + 5u * SIDE], stride); }
    if HEAD > 6u { q.m6 = coopLoadT<Left>(&queries[at + 6u * SIDE], stride); }
    if HEAD > 7u { q.m7 = coopLoadT<Left>(&queries[at + 7u * SIDE], stride); }
    return q;
}

// The first token of a subgroup's matrix of queries, counted over all images, and the number of its tokens that come
// before the subgroup's own. That number is above 0 only at the end of the batch, where the matrix is moved back so
// that it does not reach past the last token.
struct First {
    token: u32,
    before: u32,
}

fn first_of(image: u32, query: u32) -> First {
    let wanted = image * params.tokens + query;
    let token = min(wanted, arrayLength(&queries) / (params.row4 * 4u) - SIDE);
    return First(token, wanted - token);
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
    let origin8 = image * params.tokens * (params.row4 / 2u) + head * HEAD8;
    let keys8 = origin8 + params.key_offset4 / 2u;
    let values8 = origin8 + params.value_offset4 / 2u;

    var next_keys = fetch_ahead(thread, keys8, 0u);
    let own = min(subgroup, SUBGROUPS - 1u);
    let first = first_of(image, first_query + own * SIDE);
    let q = load_queries(first.token * params.row4 * 4u + head * HEAD * SIDE);

    let place = place_of(subgroup, index, count);
    let row4 = place.slot * SLOT4 + place.row * STRIDE4;
    var most = LOWEST;
    // The exponentials are of the logit less `origin`.
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
    let powers4 = (own * SIDE + place.row) * 2u * POWERS8;
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
            // After the last chunk the first one is fetched again, in case the workgroup begins again.
            let next = select(0u, chunk + KEYS, chunk + KEYS < params.tokens);
            next_keys = fetch_ahead(thread, keys8, next);
            next_values = fetch_ahead(thread, values8, next);
            for (var half = 0u; half < KEYS; half += SIDE) {
                put_sum(dot_products(q, half * (HEAD8 + 1u)), place.slot * SLOT4, STRIDE4);
                subgroupBarrier();
                let first_key = chunk + half;
                let part = part_of(row4, place, image, first_key, first_key + SIDE > params.tokens);
                most = max(most, largest(part));
                if first_key == 0u && attempt == 0u {
                    origin = row_max(most, place.lanes);
                }
                let a = vec4<f16>(exp(part.a - origin));
                let b = vec4<f16>(exp(part.b - origin));
                // The rounded exponentials are summed, so that the weights of the values sum up to one.
                let rounded = vec4<f32>(a) + vec4<f32>(b);
                sum += rounded.x + rounded.y + rounded.z + rounded.w;
                if place.stores && place.first < place.end {
                    put_left4(powers4 + place.first, a);
                }
                if place.stores && place.first + 1u < place.end {
                    put_left4(powers4 + place.first + 1u, b);
                }
                subgroupBarrier();
                let p = load_left(own * SIDE * POWERS8, POWERS8);
                let v = VALUES8 + half * (HEAD8 + 1u);
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
    let query = first_query + own * SIDE + place.row - min(place.row, first.before);
    let stores = place.stores && place.row >= first.before && query < params.tokens;
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

// Where a thread's part of a row of sums is stored.
struct Target {
    stores: bool,
    row4: u32, // the row in `sums`
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
