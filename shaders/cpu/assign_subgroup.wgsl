// assign.wgsl by octets: one workgroup handles 8 GROUPS dropped tokens of an image. An octet searches 32 columns of
// every 256, of which a lane has 4. Lane r then has the best of row r. With ORDER 2, a lane loads its own row's element
// of the vector that W is multiplied by, and the octet reads it by a shuffle, so that a loaded element of W serves all
// the rows.
#import condense/assign_params.wgsl
#import shared/float.wgsl
#import shared/matrix.wgsl
#import shared/octet.wgsl

override ORDER: u32 = 0u;
override PARITY: u32 = 2u; // 2: any index
override DIAGONAL: bool = false;
override GROUPS: u32 = 2u; // groups of 8 dropped tokens, 1 or 2

@group(0) @binding(0) var<uniform> params: Params;
// The matrix `w` (shared/matrix.wgsl) is W, of N rows, or C[q, :], of R rows.
@group(0) @binding(2) var<storage, read> order: array<u32>;            // [B, N]: kept, then dropped tokens
@group(0) @binding(3) var<storage, read> slot: array<u32>;             // [B, N]: place among the kept, or DROPPED
@group(0) @binding(4) var<storage, read_write> assigned: array<u32>;   // [B, R]: index of p among the patch tokens
@group(0) @binding(5) var<storage, read_write> connection: array<f32>; // [B, R]: C[q, p]
@group(0) @binding(6) var<storage, read_write> diagonal: array<f32>;   // [B, R]: C[p, p]

const DROPPED: u32 = 0xffffffffu;
const NONE: u32 = 0xffffffffu;

// A column of C as a candidate. The lower key comes first, then the lower item. NaN has the largest key. A search that
// found nothing has the largest key and the largest item, NONE.
struct Best {
    key: u32,
    item: u32,
    value: f32,
}

// [16, 8]: the best that each octet found for each row.
var<workgroup> keys: array<u32, 128>;
var<workgroup> items: array<u32, 128>;
var<workgroup> values: array<f32, 128>;

fn better(a: Best, b: Best) -> Best {
    let second = b.key < a.key || (b.key == a.key && b.item < a.item);
    return Best(select(a.key, b.key, second), select(a.item, b.item, second), select(a.value, b.value, second));
}

fn candidate(value: f32, item: u32, allowed: bool) -> Best {
    return Best(select(0xffffffffu, descending_key(value), allowed), select(NONE, item, allowed), value);
}

// The best of an octet's lanes, which every lane gets.
fn octet_best(own: Best) -> Best {
    let pair = better(own, shuffled(own, 1u));
    let four = better(pair, shuffled(pair, 2u));
    return better(four, shuffled(four, 4u));
}

fn shuffled(own: Best, mask: u32) -> Best {
    return Best(subgroupShuffleXor(own.key, mask), subgroupShuffleXor(own.item, mask), subgroupShuffleXor(own.value, mask));
}

// Searches row r of the tile: lane r replaces its best if the octet found a better one.
fn take(best: ptr<function, Best>, c: vec4<f32>, columns: vec4<u32>, allowed: vec4<bool>, lane: u32, r: u32) {
    let low = better(candidate(c.x, columns.x, allowed.x), candidate(c.y, columns.y, allowed.y));
    let high = better(candidate(c.z, columns.z, allowed.z), candidate(c.w, columns.w, allowed.w));
    let found = octet_best(better(low, high));
    if lane == r {
        *best = better(*best, found);
    }
}

fn take_all(best: ptr<function, Best>, c: ptr<function, Rows>, columns: vec4<u32>, allowed: vec4<bool>, lane: u32) {
    take(best, (*c)[0], columns, allowed, lane, 0u);
    take(best, (*c)[1], columns, allowed, lane, 1u);
    take(best, (*c)[2], columns, allowed, lane, 2u);
    take(best, (*c)[3], columns, allowed, lane, 3u);
    take(best, (*c)[4], columns, allowed, lane, 4u);
    take(best, (*c)[5], columns, allowed, lane, 5u);
    take(best, (*c)[6], columns, allowed, lane, 6u);
    take(best, (*c)[7], columns, allowed, lane, 7u);
}

// Loads rows of C that are given. Lane r knows where row r begins.
fn load(c: ptr<function, Rows>, row: u32, at: Columns, first: u32) {
    (*c)[0] = four(subgroupShuffle(row, first), at);
    (*c)[1] = four(subgroupShuffle(row, first + 1u), at);
    (*c)[2] = four(subgroupShuffle(row, first + 2u), at);
    (*c)[3] = four(subgroupShuffle(row, first + 3u), at);
    (*c)[4] = four(subgroupShuffle(row, first + 4u), at);
    (*c)[5] = four(subgroupShuffle(row, first + 5u), at);
    (*c)[6] = four(subgroupShuffle(row, first + 6u), at);
    (*c)[7] = four(subgroupShuffle(row, first + 7u), at);
}

// c[r] += x line, where x is the value of lane r and `line` is a part of a row of W.
fn add(c: ptr<function, Rows>, x: f32, line: vec4<f32>, first: u32) {
    (*c)[0] += subgroupShuffle(x, first) * line;
    (*c)[1] += subgroupShuffle(x, first + 1u) * line;
    (*c)[2] += subgroupShuffle(x, first + 2u) * line;
    (*c)[3] += subgroupShuffle(x, first + 3u) * line;
    (*c)[4] += subgroupShuffle(x, first + 4u) * line;
    (*c)[5] += subgroupShuffle(x, first + 5u) * line;
    (*c)[6] += subgroupShuffle(x, first + 6u) * line;
    (*c)[7] += subgroupShuffle(x, first + 7u) * line;
}

// The same for both groups of rows.
fn add_two(c0: ptr<function, Rows>, c1: ptr<function, Rows>, x0: f32, x1: f32, line: vec4<f32>, first: u32) {
    add(c0, x0, line, first);
    if GROUPS > 1u { add(c1, x1, line, first); }
}

// Element i of the vector that W is multiplied by for row q.
fn factor(row: u32, q: u32, i: u32) -> f32 {
    return params.ratio * element(row, i) + select(0.0, params.inverse, i == q);
}

// The same for four columns. Elements outside the row's columns are zero in W, and stay zero.
fn factors(row: u32, q: u32, columns: Columns) -> vec4<f32> {
    return params.ratio * four(row, columns) + select(vec4(0.0), vec4(params.inverse), columns.index == vec4(q));
}

// Reduces the octets' results for row r of the workgroup and stores them at place `at`.
fn finish(r: u32, exists: bool, at: u32, matrix: u32, lane: u32) {
    let place = r * OCTETS + lane;
    let best = octet_best(Best(keys[place], items[place], values[place]));
    let writes = exists && lane == 0u;
    if writes {
        assigned[at] = best.item;
        connection[at] = best.value;
    }
    if !DIAGONAL || ORDER == 0u {
        return;
    }
    let n = params.patches;
    // The item is NONE if no column was allowed, which the host rules out.
    let p = min(best.item, n - 1u);
    let own_row = matrix + p * row_step();
    var own = element(own_row, p);
    if ORDER == 2u {
        var sum = 0.0;
        // The order of additions is the same for every layout of W, so that the layout does not change a bit of the
        // result.
        for (var i = lane; i < n; i += 8u) {
            sum += element(own_row, i) * element(matrix + i * row_step(), p);
        }
        own = params.ratio * octet_sum(sum) + params.inverse * own;
    }
    if writes {
        diagonal[at] = own;
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
) {
    let own = octet(subgroup, subgroup_size, invocation);
    let n = params.patches;
    let image = group.y;
    let start = group.x * 8u * GROUPS;
    let count = min(8u * GROUPS, params.dropped - start);
    let listed = image * n + n - params.dropped + start;
    let stride = row_step();
    let matrix = row_of(image, n, 0u);
    let made = image * params.dropped + start;
    // Dropped tokens past the end repeat the last one.
    let r0 = min(own.lane, count - 1u);
    let r1 = min(8u + own.lane, count - 1u);
    let q0 = order[listed + r0];
    let q1 = order[listed + r1];
    let row0 = select(matrix + q0 * stride, row_of(image, params.dropped, start + r0), ORDER == 0u);
    let row1 = select(matrix + q1 * stride, row_of(image, params.dropped, start + r1), ORDER == 0u);
    var best0 = Best(0xffffffffu, NONE, 0.0);
    var best1 = best0;
    for (var begin = own.index * 32u; begin < params.shift + n; begin += OCTETS * 32u) {
        let columns = columns_of(begin / 4u + own.lane);
        var c0 = Rows();
        var c1 = Rows();
        // The loops over rows start at an offset that depends on the image: if the trip count followed from uniforms
        // alone, lavapipe would unroll the loop and compile the kernel again at every dispatch.
        if ORDER == 2u && ALIGNED {
            var quad = 0u;
            for (var step = matrix; step < matrix + params.stride; step += 4u) {
                let four_of = columns_of(quad);
                let x0 = factors(row0, q0, four_of);
                let x1 = factors(row1, q1, four_of);
                let lines = matrix + min(four_of.index, vec4(n - 1u)) * stride;
                add_two(&c0, &c1, x0.x, x1.x, four(lines.x, columns), own.first);
                add_two(&c0, &c1, x0.y, x1.y, four(lines.y, columns), own.first);
                add_two(&c0, &c1, x0.z, x1.z, four(lines.z, columns), own.first);
                add_two(&c0, &c1, x0.w, x1.w, four(lines.w, columns), own.first);
                quad += 1u;
            }
        } else if ORDER == 2u {
            var i = 0u;
            for (var line = matrix; line < matrix + n * stride; line += stride) {
                let x1 = select(0.0, factor(row1, q1, i), GROUPS > 1u);
                add_two(&c0, &c1, factor(row0, q0, i), x1, four(line, columns), own.first);
                i += 1u;
            }
        } else {
            load(&c0, row0, columns, own.first);
            if GROUPS > 1u { load(&c1, row1, columns, own.first); }
        }
        let slots = image * n + min(columns.index, vec4(n - 1u));
        let found = vec4(slot[slots.x], slot[slots.y], slot[slots.z], slot[slots.w]);
        var allowed = (columns.index < vec4(n)) & (found != vec4(DROPPED));
        if PARITY < 2u {
            allowed = allowed & ((columns.index % vec4(2u)) == vec4(PARITY));
        }
        take_all(&best0, &c0, columns.index, allowed, own.lane);
        if GROUPS > 1u { take_all(&best1, &c1, columns.index, allowed, own.lane); }
    }
    let place = own.lane * OCTETS + own.index;
    keys[place] = best0.key;
    items[place] = best0.item;
    values[place] = best0.value;
    if GROUPS > 1u {
        keys[place + 64u] = best1.key;
        items[place + 64u] = best1.item;
        values[place + 64u] = best1.value;
    }
    workgroupBarrier();
    finish(own.index, own.index < count, made + own.index, matrix, own.lane);
    if GROUPS > 1u {
        finish(own.index + 8u, own.index + 8u < count, made + own.index + 8u, matrix, own.lane);
    }
}
