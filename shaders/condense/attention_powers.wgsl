// What attention_connectivity.wgsl makes, from what fused attention emits instead of probabilities: powers, each 32 keys of
// a row at the level of the largest logit when they were made. An octet has a strip of eight queries by 32 keys, of which a
// lane has four by eight; lane r finds what makes probabilities of row r's powers, and the others have it from there.
#import shared/input.wgsl
#import shared/made.wgsl
#import shared/octet.wgsl
#import shared/powers.wgsl

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
@group(0) @binding(2) var<storage, read> levels: array<f32>;            // [B, H, chunks, T]: what powers are relative to
// Not read where powers lie in texels: it is behind them.
@group(0) @binding(3) var<storage, read> rows: array<vec2<f32>>;        // [B, H, T]: largest logit, 1 / sum of powers
// Not written where W lies in texels.
@group(0) @binding(5) var<storage, read_write> column_sums: array<vec4<f32>>; // [B, strips, stride]
@group(0) @binding(6) var<storage, read_write> dominance: array<f32>;   // [B, N]

// Four neighbouring columns that a lane writes, as far as they are patch tokens'.
struct Columns {
    first: u32, // may wrap below 0: then it is not stored
    real: vec4<bool>,
    quad: u32,    // the vec4 of a padded row
    exists: bool, // whether a padded row has it
}

// Of one head's power of every row of a strip.
struct Strip {
    powers: u32, // the first row's
    eight: u32,  // this lane's columns of it
    row: u32,    // of the first row
    level: u32,
    last: u32,   // the last row that exists
}

// What a lane has of a strip: eight columns of four of its rows, from `first` on.
struct Part {
    first: u32,
    low: array<vec4<f32>, 4>,
    high: array<vec4<f32>, 4>,
}

fn add(sum: ptr<function, Part>, strip: Strip, factor: f32, lanes: u32, k: u32) {
    let r = (*sum).first + k;
    let shared_factor = subgroupShuffle(factor, lanes + r);
    let eight = eight_powers(strip.powers + min(r, strip.last) * powers_step(), strip.eight);
    (*sum).low[k] += widen_low(eight) * shared_factor;
    (*sum).high[k] += widen_high(eight) * shared_factor;
}

fn factor(strip: Strip, lane: u32) -> f32 {
    let r = min(lane, strip.last);
    let row = softmax_row(strip.row + r, strip.powers + r * powers_step());
    return exp(levels[strip.level + r] - row.x) * row.y;
}

fn columns_of(quad: u32) -> Columns {
    let token = quad * 4u + vec4(0u, 1u, 2u, 3u);
    let before = params.prefix / 4u;
    return Columns(
        quad * 4u - params.prefix,
        (token >= vec4(params.prefix)) & (token < vec4(params.tokens)),
        quad - before,
        quad >= before && quad * 4u < params.tokens,
    );
}

// Row i of an image's W; returns it, or zero past the end.
fn store(sum: vec4<f32>, image: u32, i: u32, columns: Columns) -> vec4<f32> {
    let n = params.tokens - params.prefix;
    let mean = select(vec4(0.0), sum / f32(params.heads), columns.real);
    if i >= n {
        return vec4(0.0);
    }
    put(image, n, i, columns, mean);
    return mean;
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
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
) {
    let own = octet(subgroup, subgroup_size, invocation);
    let n = params.tokens - params.prefix;
    let strips = (n + 7u) / 8u;
    let chunks = (params.tokens + 31u) / 32u;
    let image = group.y;
    let tile = group.x * OCTETS + own.index;
    if tile >= strips * chunks {
        return;
    }
    // Exact for the few tiles that 2,048 tokens have. A division of integers is done lane by lane on a CPU.
    let strip_index = u32((f32(tile) + 0.5) / f32(chunks));
    let chunk = tile - strip_index * chunks;
    let i = strip_index * 8u;
    // Half of the lanes have the first four rows of the strip.
    let half = own.lane / 4u;
    let eight = chunk * 4u + own.lane % 4u;
    let element = min(eight, (params.tokens + 7u) / 8u - 1u);
    let first_row = image * params.heads * params.tokens;
    let first_level = image * params.heads * chunks * params.tokens + chunk * params.tokens;

    var sum = Part();
    sum.first = half * 4u;
    // The count starts at a number that depends on the image: see attention_mean_subgroup.wgsl.
    var level = first_level;
    var powers_row = row_of_powers(image, 0u);
    for (var head = first_row; head < first_row + params.heads * params.tokens; head += params.tokens) {
        let row = head + params.prefix + i;
        let own_powers = powers_row + (params.prefix + i) * powers_step();
        let strip = Strip(own_powers, element, row, level + params.prefix + i, n - 1u - i);
        let own_factor = factor(strip, own.lane);
        add(&sum, strip, own_factor, own.first, 0u);
        add(&sum, strip, own_factor, own.first, 1u);
        add(&sum, strip, own_factor, own.first, 2u);
        add(&sum, strip, own_factor, own.first, 3u);
        level += chunks * params.tokens;
        powers_row += params.tokens * powers_step();
    }
    let low = columns_of(eight * 2u);
    let high = columns_of(eight * 2u + 1u);
    let row = i + sum.first;
    var low_sum = store(sum.low[0], image, row, low);
    low_sum += store(sum.low[1], image, row + 1u, low);
    low_sum += store(sum.low[2], image, row + 2u, low);
    low_sum += store(sum.low[3], image, row + 3u, low);
    var high_sum = store(sum.high[0], image, row, high);
    high_sum += store(sum.high[1], image, row + 1u, high);
    high_sum += store(sum.high[2], image, row + 2u, high);
    high_sum += store(sum.high[3], image, row + 3u, high);
    // Each half of the lanes writes what both have added up for half of the columns; from texels it is added up again.
    let columns = columns_of(eight * 2u + half);
    if !TEXELS {
        low_sum += subgroupShuffleXor(low_sum, 4u);
        high_sum += subgroupShuffleXor(high_sum, 4u);
        store_sums(select(low_sum, high_sum, half == 1u), (image * strips + strip_index) * params.stride, columns);
    }
    if strip_index > 0u {
        return;
    }
    // The class token's row.
    var mean = vec4<f32>(0.0);
    level = first_level;
    powers_row = row_of_powers(image, 0u);
    for (var head = first_row; head < first_row + params.heads * params.tokens; head += params.tokens) {
        let strip = Strip(powers_row, element, head, level, 0u);
        let both = eight_powers(powers_row, element);
        mean += select(widen_low(both), widen_high(both), half == 1u) * factor(strip, 0u);
        level += chunks * params.tokens;
        powers_row += params.tokens * powers_step();
    }
    mean /= f32(params.heads);
    let listed = image * n + columns.first;
    if columns.real.x { dominance[listed] = mean.x; }
    if columns.real.y { dominance[listed + 1u] = mean.y; }
    if columns.real.z { dominance[listed + 2u] = mean.z; }
    if columns.real.w { dominance[listed + 3u] = mean.w; }
}
