// Computes W and dominance (see attention_mean.wgsl) in one dispatch, by cooperative matrices of f16 with f32 sums. A
// workgroup takes as many queries as its subgroups' matrices have rows, by one chunk of keys, and goes over the heads.
// A thread keeps the sums of its part of a row in registers. The next head's queries and keys are fetched while one
// head is multiplied.
#import shared/cooperative.wgsl
#import shared/cooperative_rows.wgsl
#import shared/grid.wgsl
#import shared/words.wgsl

struct Params {
    tokens: u32,      // T
    prefix: u32,      // E
    heads: u32,       // H
    images: u32,      // B
    row4: u32,        // vec4s from one token of qkv to the next
    key_offset4: u32, // vec4s from a token's queries to its keys
    head4: u32,       // Dh / 4
    scale: f32,
    first: u32,       // the token of W's first column, at most E
    stride: u32,      // elements of a row of W, and of column_sums
    strips: u32,      // rows of column_sums: T / SIDE, rounded up
}

override PROPORTIONAL: bool = false;

override LEFT8: u32 = SUBGROUPS * SIDE * (HEAD8 + 1u);
override RIGHT8: u32 = KEYS * (HEAD8 + 1u);

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<vec4<u32>>;  // [B, T, row4 / 2], eight f16 each
@group(0) @binding(2) var<storage, read> sizes: array<f32>;      // [B, T], read with PROPORTIONAL only
@group(0) @binding(3) var<storage, read> rows: array<vec2<f32>>; // [B, H, T]: max logit, 1 / sum of exponentials
@group(0) @binding(4) var<storage, read_write> w: array<f32>;    // [B, N, stride]: zero outside the columns of patches
@group(0) @binding(5) var<storage, read_write> dominance: array<f32>; // [B, N], the mean row of the first token
@group(0) @binding(6) var<storage, read_write> column_sums: array<f32>; // [B, strips, stride], each over SIDE queries

fn key_bias(image: u32, key: u32) -> vec4<f32> {
    if PROPORTIONAL {
        let keys = min(vec4(key) + vec4(0u, 1u, 2u, 3u), vec4(params.tokens - 1u));
        let place = image * params.tokens + keys;
        return log(vec4(sizes[place.x], sizes[place.y], sizes[place.z], sizes[place.w]));
    }
    return vec4(0.0);
}

// The probabilities of four keys in one head. `at4` is the place of their dot products in `sums`.
fn probabilities(at4: u32, bias: vec4<f32>, row: vec2<f32>) -> vec4<f32> {
    return exp(take_sum(at4) * params.scale + bias - row.x) * row.y;
}

// The means over heads of four keys; 0 for keys that are not patches.
fn mean_of(sum: vec4<f32>, key: u32) -> vec4<f32> {
    let keys = vec4(key) + vec4(0u, 1u, 2u, 3u);
    let are_patches = (keys >= vec4(params.prefix)) & (keys < vec4(params.tokens));
    return select(vec4(0.0), sum / f32(params.heads), are_patches);
}

// The sum over a subgroup's queries. Each query takes `lanes` neighbouring lanes.
fn column_sum(mean: vec4<f32>, is_patch: bool, lanes: u32, count: u32) -> vec4<f32> {
    var sum = select(vec4(0.0), mean, is_patch);
    for (var step = lanes; step < count; step *= 2u) {
        sum += subgroupShuffleXor(sum, step);
    }
    return sum;
}

// Where the results of a thread's part of a row are stored.
struct Target {
    w: u32,
    dominance: u32,
    sums: u32,
    columns: u32, // columns from there to the end of the row
    is_patch: bool,
    is_first: bool,
    has_sums: bool,
}

fn store_key(out: Target, column: u32, key: u32, mean: f32, sum: f32) {
    if column >= out.columns {
        return;
    }
    if out.is_patch {
        w[out.w + column] = mean;
    }
    if out.is_first && key >= params.prefix && key < params.tokens {
        dominance[out.dominance + key - params.prefix] = mean;
    }
    if out.has_sums {
        column_sums[out.sums + column] = sum;
    }
}

fn store(out: Target, column: u32, key: u32, mean: vec4<f32>, sum: vec4<f32>) {
    store_key(out, column, key, mean.x, sum.x);
    store_key(out, column + 1u, key + 1u, mean.y, sum.y);
    store_key(out, column + 2u, key + 2u, mean.z, sum.z);
    store_key(out, column + 3u, key + 3u, mean.w, sum.w);
}

// The groups of eight f16 in one head of a workgroup's queries (QUERIES8) and keys (CHUNK8).
override QUERIES8: u32 = SUBGROUPS * SIDE * HEAD8;
override CHUNK8: u32 = KEYS * HEAD8;

// Eight f16, number `at` of the tokens from `first` on, of the head at `origin8`. Tokens past the end repeat the last
// one; an index past the workgroup's part is loaded too, and not staged.
fn fetch(at: u32, origin8: u32, first: u32) -> vec4<u32> {
    return qkv[origin8 + min(first + at / HEAD8, params.tokens - 1u) * (params.row4 / 2u) + at % HEAD8];
}

fn stage_query(at: u32, value: vec4<u32>) {
    if at < QUERIES8 {
        put_left(at / HEAD8 * (HEAD8 + 1u) + at % HEAD8, eight(value));
    }
}

fn stage_key(at: u32, value: vec4<u32>) {
    if at < CHUNK8 {
        put_right(at / HEAD8 * (HEAD8 + 1u) + at % HEAD8, eight(value));
    }
}

// A subgroup's queries, which lie in `left` from `at8` on.
fn staged_queries(at8: u32) -> Queries {
    var q: Queries;
    q.m0 = load_left(at8, HEAD8 + 1u);
    if HEAD > 1u { q.m1 = load_left(at8 + 1u * SIDE / 8u, HEAD8 + 1u); }
    if HEAD > 2u { q.m2 = load_left(at8 + 2u * SIDE / 8u, HEAD8 + 1u); }
    if HEAD > 3u { q.m3 = load_left(at8 + 3u * SIDE / 8u, HEAD8 + 1u); }
    if HEAD > 4u { q.m4 = load_left(at8 + 4u * SIDE / 8u, HEAD8 + 1u); }
    if HEAD > 5u { q.m5 = load_left(at8 + 5u * SIDE / 8u, HEAD8 + 1u); }
    if HEAD > 6u { q.m6 = load_left(at8 + 6u * SIDE / 8u, HEAD8 + 1u); }
    if HEAD > 7u { q.m7 = load_left(at8 + 7u * SIDE / 8u, HEAD8 + 1u); }
    return q;
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
    let patches = params.tokens - params.prefix;
    let across = (params.stride + KEYS - 1u) / KEYS;
    let down = (params.tokens + SUBGROUPS * SIDE - 1u) / (SUBGROUPS * SIDE);
    let unit = grid_index(group, counts);
    let exists = unit < across * down * params.images;
    let tile = min(unit, across * down * params.images - 1u);
    let image = tile / across / down;
    let i = tile / across % down * SUBGROUPS * SIDE;
    let j = tile % across * KEYS;
    let origin8 = image * params.tokens * (params.row4 / 2u);
    let keys8 = origin8 + params.key_offset4 / 2u;
    let first_key = params.first + j;

    let place = place_of(subgroup, index, count);
    let own = min(subgroup, SUBGROUPS - 1u);
    let query = i + own * SIDE + place.row;
    let row4 = place.slot * SLOT4 + place.row * STRIDE4 + place.first;
    let key = first_key + place.first * 4u;
    // The index in `rows` of the first head of this query.
    let rows_at = image * params.heads * params.tokens + min(query, params.tokens - 1u);
    // The biases of a thread's two vec4s of keys in each of the chunk's two matrices.
    let bias0 = key_bias(image, key);
    let bias1 = key_bias(image, key + 4u);
    let bias2 = key_bias(image, key + SIDE);
    let bias3 = key_bias(image, key + SIDE + 4u);
    var sum0 = vec4(0.0);
    var sum1 = vec4(0.0);
    var sum2 = vec4(0.0);
    var sum3 = vec4(0.0);
    var q0 = fetch(thread, origin8, i);
    var q1 = fetch(thread + THREADS, origin8, i);
    var q2 = fetch(thread + 2u * THREADS, origin8, i);
    var q3 = fetch(thread + 3u * THREADS, origin8, i);
    var k0 = fetch(thread, keys8, first_key);
    var k1 = fetch(thread + THREADS, keys8, first_key);
    var next_row = rows[rows_at];
    for (var head = 0u; head < params.heads; head++) {
        workgroupBarrier();
        stage_query(thread, q0);
        stage_query(thread + THREADS, q1);
        stage_query(thread + 2u * THREADS, q2);
        stage_query(thread + 3u * THREADS, q3);
        stage_key(thread, k0);
        stage_key(thread + THREADS, k1);
        // Wide heads need more fetches, which are made late.
        for (var at = thread + 4u * THREADS; at < QUERIES8; at += THREADS) {
            stage_query(at, fetch(at, origin8 + head * HEAD8, i));
        }
        for (var at = thread + 2u * THREADS; at < CHUNK8; at += THREADS) {
            stage_key(at, fetch(at, keys8 + head * HEAD8, first_key));
        }
        let row = next_row;
        workgroupBarrier();
        // After the last head it is fetched once more, and not used.
        let next = min(head + 1u, params.heads - 1u);
        q0 = fetch(thread, origin8 + next * HEAD8, i);
        q1 = fetch(thread + THREADS, origin8 + next * HEAD8, i);
        q2 = fetch(thread + 2u * THREADS, origin8 + next * HEAD8, i);
        q3 = fetch(thread + 3u * THREADS, origin8 + next * HEAD8, i);
        k0 = fetch(thread, keys8 + next * HEAD8, first_key);
        k1 = fetch(thread + THREADS, keys8 + next * HEAD8, first_key);
        next_row = rows[rows_at + next * params.tokens];
        let q = staged_queries(own * SIDE * (HEAD8 + 1u));
        put_sum(dot_products(q, 0u), place.slot * SLOT4, STRIDE4);
        subgroupBarrier();
        sum0 += probabilities(row4, bias0, row);
        sum1 += probabilities(row4 + 1u, bias1, row);
        subgroupBarrier();
        put_sum(dot_products(q, SIDE * (HEAD8 + 1u)), place.slot * SLOT4, STRIDE4);
        subgroupBarrier();
        sum2 += probabilities(row4, bias2, row);
        sum3 += probabilities(row4 + 1u, bias3, row);
    }

    let mean0 = mean_of(sum0, key);
    let mean1 = mean_of(sum1, key + 4u);
    let mean2 = mean_of(sum2, key + SIDE);
    let mean3 = mean_of(sum3, key + SIDE + 4u);
    // Queries between the class token and the first patch (register tokens) have no row in W.
    let is_patch = query >= params.prefix && query < params.tokens;
    let total0 = column_sum(mean0, is_patch, place.lanes, count);
    let total1 = column_sum(mean1, is_patch, place.lanes, count);
    let total2 = column_sum(mean2, is_patch, place.lanes, count);
    let total3 = column_sum(mean3, is_patch, place.lanes, count);
    if !exists || !place.stores {
        return;
    }
    let column = j + place.first * 4u;
    let strip = i / SIDE + own;
    let out = Target(
        (image * patches + max(query, params.prefix) - params.prefix) * params.stride + column,
        image * patches,
        (image * params.strips + strip) * params.stride + column,
        params.stride - min(column, params.stride),
        is_patch,
        query == 0u && params.prefix > 0u,
        place.row == 0u && strip < params.strips,
    );
    // A thread has at most two vec4s of a row; it has one or none if many lanes have the same row.
    if place.first < place.end {
        store(out, 0u, key, mean0, total0);
        store(out, SIDE, key + SIDE, mean2, total2);
    }
    if place.first + 1u < place.end {
        store(out, 4u, key + 4u, mean1, total1);
        store(out, SIDE + 4u, key + SIDE + 4u, mean3, total3);
    }
}
