// Assigns each dropped token q to the kept token p with the largest C[q, p]. Ties go to the lower index, and NaN never
// wins against a number. With PARITY 0 or 1, only kept tokens whose index has that parity are candidates (the second
// set of ToMe). One workgroup handles eight dropped tokens. ORDER says where the rows of C come from:
//
//   0   they are given: `w` holds the rows of C
//   1   C = W: they are rows of W
//   2   C = W + a W^2, at the scale of `connectivity.wgsl`: row q is (ratio W[q, :] + inverse e_q) W, computed here.
//       A thread computes four columns of eight rows, so that each element of W that it loads serves eight products.
//       The rows of W are divided among four slices of 64 threads.
//
// Each slice then searches two of the eight rows of C. With DIAGONAL (and ORDER 1 or 2) C[p, p] is computed as well.
#import condense/assign_params.wgsl
#import shared/float.wgsl

override ORDER: u32 = 0u;
override PARITY: u32 = 2u; // 2: any index
override DIAGONAL: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;                // W [B, N, stride], or C[q, :] [B, R, stride]
@group(0) @binding(2) var<storage, read> order: array<u32>;            // [B, N]: kept, then dropped tokens
@group(0) @binding(3) var<storage, read> slot: array<u32>;             // [B, N]: place among the kept, or DROPPED
@group(0) @binding(4) var<storage, read_write> assigned: array<u32>;   // [B, R]: index of p among the patch tokens
@group(0) @binding(5) var<storage, read_write> connection: array<f32>; // [B, R]: C[q, p]
@group(0) @binding(6) var<storage, read_write> diagonal: array<f32>;   // [B, R]: C[p, p]

const DROPPED: u32 = 0xffffffffu;
const NONE: u32 = 0xffffffffu;
// A slice has 64 threads.
const SLICES: u32 = 4u;

// Sums for four columns of two rows of C.
struct Two {
    a: vec4<f32>,
    b: vec4<f32>,
}

// [SLICES, 64]: the partial sums of each slice.
var<workgroup> parts_a: array<vec4<f32>, 256>;
var<workgroup> parts_b: array<vec4<f32>, 256>;

// The sums over the slices, added in the order of the slices. All threads of the workgroup call this together.
fn over_slices(own: Two, thread: u32, index: u32) -> Two {
    workgroupBarrier();
    parts_a[index] = own.a;
    parts_b[index] = own.b;
    workgroupBarrier();
    return Two(
        parts_a[thread] + parts_a[64u + thread] + parts_a[128u + thread] + parts_a[192u + thread],
        parts_b[thread] + parts_b[64u + thread] + parts_b[128u + thread] + parts_b[192u + thread],
    );
}

// [8, 64]: the best value, and its column, that each thread found for each of the eight tokens; then partial sums for
// C[p, p].
var<workgroup> values: array<f32, 512>;
var<workgroup> items: array<u32, 512>;
// The kept token that each of the eight tokens was assigned to.
var<workgroup> matched: array<u32, 8>;

// Four neighbouring elements of a row; columns past the last one repeat it.
fn four(row: u32, column: u32, last: u32) -> vec4<f32> {
    return vec4(
        w[row + column],
        w[row + min(column + 1u, last)],
        w[row + min(column + 2u, last)],
        w[row + min(column + 3u, last)],
    );
}

// Whether value b at column b comes before value a at column a. NONE comes after everything.
fn before(value_b: f32, item_b: u32, value_a: f32, item_a: u32) -> bool {
    let key_a = descending_key(value_a);
    let key_b = descending_key(value_b);
    return item_b != NONE && (item_a == NONE || key_b < key_a || (key_b == key_a && item_b < item_a));
}

// A value of C and its column, or NONE.
struct Best {
    value: f32,
    item: u32,
}

// The best of `best` and of those four neighbouring values that are allowed.
fn take(best: Best, found: vec4<f32>, column: u32, allowed: vec4<bool>) -> Best {
    var better = best;
    for (var e = 0u; e < 4u; e++) {
        if allowed[e] && before(found[e], column + e, better.value, better.item) {
            better = Best(found[e], column + e);
        }
    }
    return better;
}

// The better of `best` and the entry `at` of `values`.
fn compare(best: Best, at: u32) -> Best {
    if before(values[at], items[at], best.value, best.item) {
        return Best(values[at], items[at]);
    }
    return best;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let thread = index % 64u;
    let slice = index / 64u;
    let n = params.patches;
    let image = group.y;
    let first = group.x * 8u;
    let count = min(8u, params.dropped - first);
    let listed = image * n + n - params.dropped + first;
    let stride = params.stride;
    let matrix = image * n * stride + params.shift;
    let last = n - 1u;
    // Dropped tokens past the end repeat the last one.
    let end = count - 1u;
    let q0 = order[listed];
    let q1 = order[listed + min(1u, end)];
    let q2 = order[listed + min(2u, end)];
    let q3 = order[listed + min(3u, end)];
    let q4 = order[listed + min(4u, end)];
    let q5 = order[listed + min(5u, end)];
    let q6 = order[listed + min(6u, end)];
    let q7 = order[listed + min(7u, end)];
    let r0 = matrix + q0 * stride;
    let r1 = matrix + q1 * stride;
    let r2 = matrix + q2 * stride;
    let r3 = matrix + q3 * stride;
    let r4 = matrix + q4 * stride;
    let r5 = matrix + q5 * stride;
    let r6 = matrix + q6 * stride;
    let r7 = matrix + q7 * stride;
    // The two rows that this slice searches.
    let mine_a = min(2u * slice, end);
    let mine_b = min(2u * slice + 1u, end);
    var row_a = matrix + order[listed + mine_a] * stride;
    var row_b = matrix + order[listed + mine_b] * stride;
    if ORDER == 0u {
        let made = image * params.dropped + first;
        row_a = (made + mine_a) * stride + params.shift;
        row_b = (made + mine_b) * stride + params.shift;
    }
    var best_a = Best(0.0, NONE);
    var best_b = Best(0.0, NONE);
    // Every thread runs the same number of iterations, because there are barriers inside.
    for (var start = 0u; start < n; start += 256u) {
        let column = min(start + thread * 4u, last);
        let is_new = start + thread * 4u <= last;
        var c = Two(four(row_a, column, last), four(row_b, column, last));
        if ORDER == 2u {
            var s0 = vec4<f32>(0.0);
            var s1 = vec4<f32>(0.0);
            var s2 = vec4<f32>(0.0);
            var s3 = vec4<f32>(0.0);
            var s4 = vec4<f32>(0.0);
            var s5 = vec4<f32>(0.0);
            var s6 = vec4<f32>(0.0);
            var s7 = vec4<f32>(0.0);
            let length = (n + SLICES - 1u) / SLICES;
            let stop = min((slice + 1u) * length, n);
            // Four rows at a time, so that the threads wait for memory a quarter as often.
            for (var i = slice * length; i < stop; i += 4u) {
                let i1 = min(i + 1u, last);
                let i2 = min(i + 2u, last);
                let i3 = min(i + 3u, last);
                let line0 = four(matrix + i * stride, column, last);
                var line1 = four(matrix + i1 * stride, column, last);
                var line2 = four(matrix + i2 * stride, column, last);
                var line3 = four(matrix + i3 * stride, column, last);
                // Rows that belong to the next slice add nothing here.
                if i + 1u >= stop { line1 = vec4(0.0); }
                if i + 2u >= stop { line2 = vec4(0.0); }
                if i + 3u >= stop { line3 = vec4(0.0); }
                s0 += w[r0 + i] * line0 + w[r0 + i1] * line1 + w[r0 + i2] * line2 + w[r0 + i3] * line3;
                s1 += w[r1 + i] * line0 + w[r1 + i1] * line1 + w[r1 + i2] * line2 + w[r1 + i3] * line3;
                s2 += w[r2 + i] * line0 + w[r2 + i1] * line1 + w[r2 + i2] * line2 + w[r2 + i3] * line3;
                s3 += w[r3 + i] * line0 + w[r3 + i1] * line1 + w[r3 + i2] * line2 + w[r3 + i3] * line3;
                s4 += w[r4 + i] * line0 + w[r4 + i1] * line1 + w[r4 + i2] * line2 + w[r4 + i3] * line3;
                s5 += w[r5 + i] * line0 + w[r5 + i1] * line1 + w[r5 + i2] * line2 + w[r5 + i3] * line3;
                s6 += w[r6 + i] * line0 + w[r6 + i1] * line1 + w[r6 + i2] * line2 + w[r6 + i3] * line3;
                s7 += w[r7 + i] * line0 + w[r7 + i1] * line1 + w[r7 + i2] * line2 + w[r7 + i3] * line3;
            }
            let t0 = over_slices(Two(s0, s1), thread, index);
            let t1 = over_slices(Two(s2, s3), thread, index);
            let t2 = over_slices(Two(s4, s5), thread, index);
            let t3 = over_slices(Two(s6, s7), thread, index);
            var sum = t0;
            if slice == 1u { sum = t1; }
            if slice == 2u { sum = t2; }
            if slice == 3u { sum = t3; }
            c.a = params.ratio * sum.a + params.inverse * c.a;
            c.b = params.ratio * sum.b + params.inverse * c.b;
        }
        let columns = column + vec4(0u, 1u, 2u, 3u);
        let slots = vec4(
            slot[image * n + column],
            slot[image * n + min(column + 1u, last)],
            slot[image * n + min(column + 2u, last)],
            slot[image * n + min(column + 3u, last)],
        );
        var allowed = vec4(is_new) & (columns < vec4(n)) & (slots != vec4(DROPPED));
        if PARITY < 2u {
            allowed = allowed & ((columns % vec4(2u)) == vec4(PARITY));
        }
        best_a = take(best_a, c.a, column, allowed);
        best_b = take(best_b, c.b, column, allowed);
    }
    values[2u * slice * 64u + thread] = best_a.value;
    items[2u * slice * 64u + thread] = best_a.item;
    values[(2u * slice + 1u) * 64u + thread] = best_b.value;
    items[(2u * slice + 1u) * 64u + thread] = best_b.item;
    workgroupBarrier();
    // For each dropped token, 32 threads reduce the results of 64, then eight threads reduce those, then one.
    let own = index / 32u;
    let lane = index % 32u;
    let start = own * 64u + lane;
    var best = compare(Best(values[start], items[start]), start + 32u);
    // No other thread reads this place before the barrier.
    values[start] = best.value;
    items[start] = best.item;
    workgroupBarrier();
    if lane < 8u {
        best = compare(compare(compare(best, start + 8u), start + 16u), start + 24u);
    }
    workgroupBarrier();
    if lane < 8u {
        values[start] = best.value;
        items[start] = best.item;
    }
    workgroupBarrier();
    let leads = lane == 0u && own < count;
    let out = image * params.dropped + first + own;
    if lane == 0u {
        for (var other = start + 1u; other < start + 8u; other++) {
            best = compare(best, other);
        }
        matched[own] = min(best.item, last); // item is NONE if no column was allowed, which the host rules out
    }
    if leads {
        assigned[out] = best.item;
        connection[out] = best.value;
        if DIAGONAL && ORDER == 1u {
            diagonal[out] = w[matrix + best.item * stride + best.item];
        }
    }
    if DIAGONAL && ORDER == 2u {
        workgroupBarrier();
        // Each of the eight tokens has 32 threads.
        let p = matched[own];
        var sum = 0.0;
        for (var i = lane; i < n; i += 32u) {
            sum += w[matrix + p * stride + i] * w[matrix + i * stride + p];
        }
        values[index] = sum;
        workgroupBarrier();
        if leads {
            for (var other = index + 1u; other < index + 32u; other++) {
                sum += values[other];
            }
            diagonal[out] = params.ratio * sum + params.inverse * w[matrix + p * stride + p];
        }
    }
}
