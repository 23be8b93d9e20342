// score.wgsl by octets. For the product with W, a lane has four columns of W, and loads the factor of one of every
// eight rows; the octet exchanges these factors. The rows are divided among THREADS / 64 parts of the workgroup.
#import condense/score_params.wgsl
#import shared/float.wgsl
#import shared/matrix.wgsl
#import shared/select_subgroup.wgsl

override ORDER: u32 = 0u; // K; 0: `column_sums` holds c itself
override NORMALISE: bool = true;
override CONNECTIVITY: bool = true; // whether c is part of S
override DOMINANCE: bool = true;    // whether D is part of S
override WHOLE: bool = false;       // whether rows of column_sums are whole vec4s

@group(0) @binding(0) var<uniform> params: Params;
// Binding 1 is W (shared/matrix.wgsl), read with ORDER 2 only.
@group(0) @binding(2) var<storage, read> column_sums: array<vec4<f32>>; // [B, strips, stride], or c [B, N]
@group(0) @binding(3) var<storage, read> dominance: array<f32>;   // D [B, N]
@group(0) @binding(4) var<storage, read_write> score: array<f32>; // S [B, N]; with ORDER 2 first c
@group(0) @binding(5) var<storage, read_write> order: array<u32>; // [B, N]: kept, then dropped tokens
@group(0) @binding(6) var<storage, read_write> slot: array<u32>;  // [B, N]: place among the kept tokens, or DROPPED

// `times_w` takes COLUMNS columns in a pass, including padding before the first and after the last column. `partials`
// holds the sums of each part of the workgroup for them.
const COLUMNS: u32 = 256u;
var<workgroup> partials: array<f32, 1024>;

fn sum_at(at: u32) -> f32 {
    return column_sums[at / 4u][at % 4u];
}

// Element i of the vector that W is multiplied by with ORDER 2; otherwise element i of c.
fn given(image: u32, i: u32) -> f32 {
    let n = params.patches;
    if ORDER == 0u {
        return sum_at(image * n + i);
    }
    var sum = 0.0;
    var at = image * params.strips * params.stride + params.shift + i;
    var strip = 0u;
    // Four strips for each iteration: llvmpipe ends every loop of a thread once its loops have run 65,535 iterations in
    // all, and there may be as many strips as tokens.
    for (; strip + 3u < params.strips; strip += 4u) {
        sum += sum_at(at);
        sum += sum_at(at + params.stride);
        sum += sum_at(at + 2u * params.stride);
        sum += sum_at(at + 3u * params.stride);
        at += 4u * params.stride;
    }
    for (; strip < params.strips; strip++) {
        sum += sum_at(at);
        at += params.stride;
    }
    let mean = sum / f32(n);
    return select(mean, params.ratio * mean + params.inverse / f32(n), ORDER == 2u);
}

// The sums over all strips of four columns.
fn sum_four(image: u32, quad: u32) -> vec4<f32> {
    var sum = vec4<f32>(0.0);
    let stride4 = params.stride / 4u;
    let first = image * params.strips * stride4 + quad;
    for (var at = first; at < first + params.strips * stride4; at += stride4) {
        sum += column_sums[at];
    }
    return sum;
}

// Stores the elements of four columns to `keys`, with ORDER 1 and 2.
fn give_four(image: u32, quad: u32) {
    let n = params.patches;
    let sum = sum_four(image, quad);
    let mean = sum / f32(n);
    let value = bitcast<vec4<u32>>(select(mean, params.ratio * mean + params.inverse / f32(n), ORDER == 2u));
    let columns = columns_of(quad).index;
    if columns.x < n { keys[columns.x] = value.x; }
    if columns.y < n { keys[columns.y] = value.y; }
    if columns.z < n { keys[columns.z] = value.z; }
    if columns.w < n { keys[columns.w] = value.w; }
}

// Multiplies `keys`, read as floats, by four columns of W. The octet adds eight rows in each iteration, from row
// `begin` on, and advances by `step`. A row past the end is the last one, times 0.
fn product(image: u32, begin: u32, step: u32, columns: Columns, own: Octet) -> vec4<f32> {
    let n = params.patches;
    let stride = row_step();
    let matrix = row_of(image, n, 0u);
    let last = row_of(image, n, n - 1u);
    var sum = vec4<f32>(0.0);
    // The loop starts at an offset that depends on the image; the reason is in assign_subgroup.wgsl.
    var i = begin;
    for (var row = matrix + begin * stride; row <= last; row += step * stride) {
        let mine = i + own.lane;
        let factor = select(0.0, bitcast<f32>(keys[min(mine, n - 1u)]), mine < n);
        sum += subgroupShuffle(factor, own.first) * four(row, columns);
        sum += subgroupShuffle(factor, own.first + 1u) * four(min(row + stride, last), columns);
        sum += subgroupShuffle(factor, own.first + 2u) * four(min(row + 2u * stride, last), columns);
        sum += subgroupShuffle(factor, own.first + 3u) * four(min(row + 3u * stride, last), columns);
        sum += subgroupShuffle(factor, own.first + 4u) * four(min(row + 4u * stride, last), columns);
        sum += subgroupShuffle(factor, own.first + 5u) * four(min(row + 5u * stride, last), columns);
        sum += subgroupShuffle(factor, own.first + 6u) * four(min(row + 6u * stride, last), columns);
        sum += subgroupShuffle(factor, own.first + 7u) * four(min(row + 7u * stride, last), columns);
        i += step;
    }
    return sum;
}

// Multiplies `keys`, read as floats, by W. The product passes through `score` and ends in `keys`.
fn times_w(image: u32, thread: u32, own: Octet) {
    let n = params.patches;
    let parts = THREADS / 64u;
    let part = own.index / 8u;
    let width = params.shift + n;
    for (var pass_index = 0u; pass_index * COLUMNS < width; pass_index++) {
        let place = own.index % 8u * 32u + own.lane * 4u;
        let begin = pass_index * COLUMNS + own.index % 8u * 32u;
        var sum = vec4<f32>(0.0);
        // The condition is the same for the whole octet.
        if begin < width {
            sum = product(image, part * 8u, parts * 8u, columns_of(begin / 4u + own.lane), own);
        }
        let at = part * COLUMNS + place;
        partials[at] = sum.x;
        partials[at + 1u] = sum.y;
        partials[at + 2u] = sum.z;
        partials[at + 3u] = sum.w;
        workgroupBarrier();
        for (var i = thread; i < COLUMNS; i += THREADS) {
            // This wraps below 0 before the first column.
            let column = pass_index * COLUMNS + i - params.shift;
            if column < n {
                var total = 0.0;
                for (var other = 0u; other < parts; other++) {
                    total += partials[other * COLUMNS + i];
                }
                score[image * n + column] = total;
            }
        }
        workgroupBarrier();
    }
    // These are the elements that this thread stored above.
    for (var i = thread; i < n; i += THREADS) {
        keys[i] = bitcast<u32>(score[image * n + i]);
    }
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
) {
    let own = octet(subgroup, subgroup_size, invocation);
    // This is not the local invocation index, because the driver decides which threads are neighbours in a subgroup.
    let thread = own.index * 8u + own.lane;
    let n = params.patches;
    let image = group.x;
    let first = image * n;
    var factor = params.scale;
    if CONNECTIVITY {
        if WHOLE && ORDER > 0u {
            for (var quad = thread; quad < params.stride / 4u; quad += THREADS) {
                give_four(image, quad);
            }
        } else {
            for (var i = thread; i < n; i += THREADS) {
                keys[i] = bitcast<u32>(given(image, i));
            }
        }
        workgroupBarrier();
        if ORDER == 2u {
            times_w(image, thread, own);
        }
        if NORMALISE {
            var sum = 0.0;
            for (var i = thread; i < n; i += THREADS) {
                sum += bitcast<f32>(keys[i]);
            }
            sum = octet_sum(sum);
            if own.lane == 0u {
                partials[own.index] = sum;
            }
            workgroupBarrier();
            sum = 0.0;
            for (var i = 0u; i < THREADS / 8u; i++) {
                sum += partials[i];
            }
            factor = 1.0 / sum;
        }
    }
    // From here on a thread reads and writes only its own keys, until the selection.
    for (var i = thread; i < n; i += THREADS) {
        var value = 0.0;
        if CONNECTIVITY {
            value -= bitcast<f32>(keys[i]) * factor;
        }
        if DOMINANCE {
            value += select(1.0, params.beta, CONNECTIVITY) * dominance[first + i];
        }
        score[first + i] = value;
        keys[i] = descending_key(value);
    }
    select_kept(n, params.kept, first, own);
}
