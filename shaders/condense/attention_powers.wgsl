// What attention_connectivity.wgsl makes, from what fused attention emits instead of probabilities: powers, each 32 keys of
// a row at the level of the largest logit when they were made. An octet has a strip of eight queries by 32 keys, of which a
// lane has 4; lane r finds what makes probabilities of row r's powers, and the others have it from there.
#import shared/grid.wgsl
#import shared/input.wgsl
#import shared/octet.wgsl

struct Params {
    tokens: u32, // T
    prefix: u32, // E
    heads: u32,  // H
    images: u32, // B
    stride: u32, // elements from one row of W, or of column_sums, to the next
}

// Whether rows of W and of column_sums are padded to whole vec4s, each token in the place that it has among all tokens.
override PADDED: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> powers: array<Input4>;         // [B, H, T, T / 4, rounded up]
@group(0) @binding(2) var<storage, read> levels: array<f32>;            // [B, H, chunks, T]: what powers are relative to
@group(0) @binding(3) var<storage, read> rows: array<vec2<f32>>;        // [B, H, T]: largest logit, 1 / sum of powers
@group(0) @binding(4) var<storage, read_write> w: array<vec4<f32>>;     // [B, N, stride]
@group(0) @binding(5) var<storage, read_write> column_sums: array<vec4<f32>>; // [B, strips, stride]
@group(0) @binding(6) var<storage, read_write> dominance: array<f32>;   // [B, N]

// What a lane writes: four neighbouring columns, as far as they are patch tokens'.
struct Columns {
    first: u32, // may wrap below 0: then it is not stored
    real: vec4<bool>,
    quad: u32,    // the vec4 of a padded row
    exists: bool, // whether a padded row has it
}

// Of one head's power of every row of a strip.
struct Strip {
    at: u32,     // of the first row's, of this lane's columns
    stride: u32, // from one row to the next
    row: u32,    // of the first row
    level: u32,
    last: u32,   // the last row that exists
}

fn add(sum: ptr<function, Rows>, strip: Strip, factor: f32, first: u32, r: u32) {
    let shared_factor = subgroupShuffle(factor, first + r);
    (*sum)[r] += widen(powers[strip.at + min(r, strip.last) * strip.stride]) * shared_factor;
}

fn add_all(sum: ptr<function, Rows>, strip: Strip, factor: f32, first: u32) {
    add(sum, strip, factor, first, 0u);
    add(sum, strip, factor, first, 1u);
    add(sum, strip, factor, first, 2u);
    add(sum, strip, factor, first, 3u);
    add(sum, strip, factor, first, 4u);
    add(sum, strip, factor, first, 5u);
    add(sum, strip, factor, first, 6u);
    add(sum, strip, factor, first, 7u);
}

fn factor(strip: Strip, lane: u32) -> f32 {
    let r = min(lane, strip.last);
    let row = rows[strip.row + r];
    return exp(levels[strip.level + r] - row.x) * row.y;
}

// A row of W, which begins at element `row`; returns it, or zero past the end.
fn store(sum: vec4<f32>, row: u32, columns: Columns, exists: bool) -> vec4<f32> {
    let mean = select(vec4(0.0), sum / f32(params.heads), columns.real);
    if PADDED {
        if exists && columns.exists { w[row / 4u + columns.quad] = mean; }
        return select(vec4(0.0), mean, exists);
    }
    let at = row + columns.first + vec4(0u, 1u, 2u, 3u);
    if exists && columns.real.x { w[at.x / 4u][at.x % 4u] = mean.x; }
    if exists && columns.real.y { w[at.y / 4u][at.y % 4u] = mean.y; }
    if exists && columns.real.z { w[at.z / 4u][at.z % 4u] = mean.z; }
    if exists && columns.real.w { w[at.w / 4u][at.w % 4u] = mean.w; }
    return select(vec4(0.0), mean, exists);
}

fn store_sums(total: vec4<f32>, row: u32, columns: Columns) {
    if PADDED {
        if columns.exists { column_sums[row / 4u + columns.quad] = total; }
        return;
    }
    let at = row + columns.first + vec4(0u, 1u, 2u, 3u);
    if columns.real.x { column_sums[at.x / 4u][at.x % 4u] = total.x; }
    if columns.real.y { column_sums[at.y / 4u][at.y % 4u] = total.y; }
    if columns.real.z { column_sums[at.z / 4u][at.z % 4u] = total.z; }
    if columns.real.w { column_sums[at.w / 4u][at.w % 4u] = total.w; }
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
    let n = params.tokens - params.prefix;
    let strips = (n + 7u) / 8u;
    let chunks = (params.tokens + 31u) / 32u;
    let stride = (params.tokens + 3u) / 4u;
    let tile = grid_index(group, counts) * OCTETS + own.index;
    if tile >= strips * chunks * params.images {
        return;
    }
    // Remainders by products: another division would cost more.
    let line = tile / chunks;
    let chunk = tile - line * chunks;
    let image = line / strips;
    let strip_index = line - image * strips;
    let i = strip_index * 8u;
    let quad = chunk * 8u + own.lane;
    let token = quad * 4u + vec4(0u, 1u, 2u, 3u);
    let before = params.prefix / 4u;
    let columns = Columns(
        quad * 4u - params.prefix,
        (token >= vec4(params.prefix)) & (token < vec4(params.tokens)),
        quad - before,
        quad >= before && quad < stride,
    );
    let element = min(quad, stride - 1u);
    let first_row = image * params.heads * params.tokens;
    let first_level = image * params.heads * chunks * params.tokens + chunk * params.tokens;

    var sum = Rows();
    // The count starts at a number that depends on the image: see attention_mean_subgroup.wgsl.
    var level = first_level;
    for (var head = first_row; head < first_row + params.heads * params.tokens; head += params.tokens) {
        let row = head + params.prefix + i;
        let strip = Strip(row * stride + element, stride, row, level + params.prefix + i, n - 1u - i);
        add_all(&sum, strip, factor(strip, own.lane), own.first);
        level += chunks * params.tokens;
    }
    let row = (image * n + i) * params.stride;
    let rest = n - i;
    var total = store(sum[0], row, columns, true);
    total += store(sum[1], row + 1u * params.stride, columns, rest > 1u);
    total += store(sum[2], row + 2u * params.stride, columns, rest > 2u);
    total += store(sum[3], row + 3u * params.stride, columns, rest > 3u);
    total += store(sum[4], row + 4u * params.stride, columns, rest > 4u);
    total += store(sum[5], row + 5u * params.stride, columns, rest > 5u);
    total += store(sum[6], row + 6u * params.stride, columns, rest > 6u);
    total += store(sum[7], row + 7u * params.stride, columns, rest > 7u);
    store_sums(total, (image * strips + strip_index) * params.stride, columns);
    if strip_index > 0u {
        return;
    }
    // The class token's row.
    var mean = vec4<f32>(0.0);
    level = first_level;
    for (var head = first_row; head < first_row + params.heads * params.tokens; head += params.tokens) {
        let strip = Strip(head * stride + element, stride, head, level, 0u);
        mean += widen(powers[strip.at]) * factor(strip, 0u);
        level += chunks * params.tokens;
    }
    mean /= f32(params.heads);
    let listed = image * n + columns.first;
    if columns.real.x { dominance[listed] = mean.x; }
    if columns.real.y { dominance[listed + 1u] = mean.y; }
    if columns.real.z { dominance[listed + 2u] = mean.z; }
    if columns.real.w { dominance[listed + 3u] = mean.w; }
}
