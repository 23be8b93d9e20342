// Each dropped token q goes to the kept token p with the largest C[q, p]; ties go to the lower index, NaN never wins
// against a number. With PARITY 0 or 1 only kept tokens whose index has that parity are candidates (ToMe's second set).
// One workgroup for eight dropped tokens. What it looks in is, by ORDER,
//   0   rows of C that are there already
//   1   C = W, its rows found in W
//   2   C = W + a W^2, at the scale of `connectivity.wgsl`: row q is (ratio W[q, :] + inverse e_q) W, made here. A thread
//       makes four columns of eight rows, so that an element of W that was read serves eight products.
//       Four slices of 64 threads share the rows of W that are added up.
// With DIAGONAL (and ORDER 1 or 2) C[p, p] is made as well.
#import shared/float.wgsl

struct Params {
    patches: u32, // N
    dropped: u32, // R
    ratio: f32,   // a / s, s = max(a, 1)
    inverse: f32, // 1 / s
    stride: u32,  // elements from one row to the next
    shift: u32,   // elements before a row's first column
}

override ORDER: u32 = 0u;
override PARITY: u32 = 2u; // 2: any
override DIAGONAL: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;                // W [B, N, stride], or C[q, :] [B, R, stride]
@group(0) @binding(2) var<storage, read> order: array<u32>;            // [B, N]: kept, then dropped
@group(0) @binding(3) var<storage, read> slot: array<u32>;             // [B, N]
@group(0) @binding(4) var<storage, read_write> assigned: array<u32>;   // [B, R]: index of p among incoming tokens
@group(0) @binding(5) var<storage, read_write> connection: array<f32>; // [B, R]: C[q, p]
@group(0) @binding(6) var<storage, read_write> diagonal: array<f32>;   // [B, R]: C[p, p]

const DROPPED: u32 = 0xffffffffu;
const NONE: u32 = 0xffffffffu;
// Of 64 threads each.
const SLICES: u32 = 4u;

// [SLICES - 1, 64]: sums of one of the eight, for the first slice.
var<workgroup> parts: array<vec4<f32>, 192>;

// The sum over slices, in their order. All threads take part; it is right in the first slice.
fn over_slices(own: vec4<f32>, thread: u32, slice: u32) -> vec4<f32> {
    workgroupBarrier();
    if slice > 0u {
        parts[(slice - 1u) * 64u + thread] = own;
    }
    workgroupBarrier();
    return own + parts[thread] + parts[64u + thread] + parts[128u + thread];
}

// [8, 64]: what each thread found best for each of the eight; then parts of sums.
var<workgroup> values: array<f32, 512>;
var<workgroup> items: array<u32, 512>;
// What each of the eight was matched with.
var<workgroup> matched: array<u32, 8>;

// Four neighbouring elements, the last one again past `last`.
fn four(row: u32, column: u32, last: u32) -> vec4<f32> {
    return vec4(
        w[row + column],
        w[row + min(column + 1u, last)],
        w[row + min(column + 2u, last)],
        w[row + min(column + 3u, last)],
    );
}

// Whether value b at item b comes before value a at item a. NONE comes behind everything.
fn before(value_b: f32, item_b: u32, value_a: f32, item_a: u32) -> bool {
    let key_a = descending_key(value_a);
    let key_b = descending_key(value_b);
    return item_b != NONE && (item_a == NONE || key_b < key_a || (key_b == key_a && item_b < item_a));
}

// Takes the best of four neighbours into the thread's place for one of the eight.
fn take(at: u32, found: vec4<f32>, column: u32, allowed: vec4<bool>) {
    var value = values[at];
    var item = items[at];
    for (var e = 0u; e < 4u; e++) {
        if allowed[e] && before(found[e], column + e, value, item) {
            value = found[e];
            item = column + e;
        }
    }
    values[at] = value;
    items[at] = item;
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
    // Past the end the last one is made again.
    let end = count - 1u;
    let q0 = order[listed];
    let q1 = order[listed + min(1u, end)];
    let q2 = order[listed + min(2u, end)];
    let q3 = order[listed + min(3u, end)];
    let q4 = order[listed + min(4u, end)];
    let q5 = order[listed + min(5u, end)];
    let q6 = order[listed + min(6u, end)];
    let q7 = order[listed + min(7u, end)];
    var r0 = matrix + q0 * stride;
    var r1 = matrix + q1 * stride;
    var r2 = matrix + q2 * stride;
    var r3 = matrix + q3 * stride;
    var r4 = matrix + q4 * stride;
    var r5 = matrix + q5 * stride;
    var r6 = matrix + q6 * stride;
    var r7 = matrix + q7 * stride;
    if ORDER == 0u {
        let made = image * params.dropped + first;
        r0 = made * stride + params.shift;
        r1 = (made + min(1u, end)) * stride + params.shift;
        r2 = (made + min(2u, end)) * stride + params.shift;
        r3 = (made + min(3u, end)) * stride + params.shift;
        r4 = (made + min(4u, end)) * stride + params.shift;
        r5 = (made + min(5u, end)) * stride + params.shift;
        r6 = (made + min(6u, end)) * stride + params.shift;
        r7 = (made + min(7u, end)) * stride + params.shift;
    }
    for (var r = slice; r < 8u; r += SLICES) {
        items[r * 64u + thread] = NONE;
    }
    workgroupBarrier();
    // As often for every thread, because all of them wait for each other within.
    for (var start = 0u; start < n; start += 256u) {
        let column = min(start + thread * 4u, last);
        let is_new = start + thread * 4u <= last;
        var c0 = four(r0, column, last);
        var c1 = four(r1, column, last);
        var c2 = four(r2, column, last);
        var c3 = four(r3, column, last);
        var c4 = four(r4, column, last);
        var c5 = four(r5, column, last);
        var c6 = four(r6, column, last);
        var c7 = four(r7, column, last);
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
            // Four rows at a time, so that memory is waited for a quarter as often.
            for (var i = slice * length; i < stop; i += 4u) {
                let i1 = min(i + 1u, last);
                let i2 = min(i + 2u, last);
                let i3 = min(i + 3u, last);
                let line0 = four(matrix + i * stride, column, last);
                var line1 = four(matrix + i1 * stride, column, last);
                var line2 = four(matrix + i2 * stride, column, last);
                var line3 = four(matrix + i3 * stride, column, last);
                // Rows of the next slice add nothing here.
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
            c0 = params.ratio * over_slices(s0, thread, slice) + params.inverse * c0;
            c1 = params.ratio * over_slices(s1, thread, slice) + params.inverse * c1;
            c2 = params.ratio * over_slices(s2, thread, slice) + params.inverse * c2;
            c3 = params.ratio * over_slices(s3, thread, slice) + params.inverse * c3;
            c4 = params.ratio * over_slices(s4, thread, slice) + params.inverse * c4;
            c5 = params.ratio * over_slices(s5, thread, slice) + params.inverse * c5;
            c6 = params.ratio * over_slices(s6, thread, slice) + params.inverse * c6;
            c7 = params.ratio * over_slices(s7, thread, slice) + params.inverse * c7;
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
        // One writes what the others would only write back.
        if slice == 0u {
            take(thread, c0, column, allowed);
            take(64u + thread, c1, column, allowed);
            take(128u + thread, c2, column, allowed);
            take(192u + thread, c3, column, allowed);
            take(256u + thread, c4, column, allowed);
            take(320u + thread, c5, column, allowed);
            take(384u + thread, c6, column, allowed);
            take(448u + thread, c7, column, allowed);
        }
    }
    workgroupBarrier();
    // Eight threads look through what 64 found for one dropped token, then one through what they found.
    // The other slices look on.
    let own = thread / 8u;
    let lane = thread % 8u;
    let leads = slice == 0u;
    let start = own * 64u + lane;
    var value = values[start];
    var item = items[start];
    for (var other = start + 8u; other < own * 64u + 64u; other += 8u) {
        if before(values[other], items[other], value, item) {
            value = values[other];
            item = items[other];
        }
    }
    // No other thread of the slice reads this place before the barrier.
    workgroupBarrier();
    if leads {
        values[start] = value;
        items[start] = item;
    }
    workgroupBarrier();
    let begin = own * 64u;
    for (var other = begin; other < begin + 8u; other++) {
        if before(values[other], items[other], value, item) {
            value = values[other];
            item = items[other];
        }
    }
    let out = image * params.dropped + first + own;
    if leads && lane == 0u && own < count {
        assigned[out] = item;
        connection[out] = value;
        if DIAGONAL && ORDER == 1u {
            diagonal[out] = w[matrix + item * stride + item];
        }
    }
    if DIAGONAL && ORDER == 2u {
        // All slices share each of the eight: 32 threads.
        if leads && lane == 0u {
            matched[own] = min(item, last); // NONE where nothing was allowed, which the host rules out
        }
        workgroupBarrier();
        let p = matched[index / 32u];
        var sum = 0.0;
        for (var i = index % 32u; i < n; i += 32u) {
            sum += w[matrix + p * stride + i] * w[matrix + i * stride + p];
        }
        values[index] = sum;
        workgroupBarrier();
        if leads && lane == 0u && own < count {
            sum = values[own * 32u];
            for (var other = own * 32u + 1u; other < own * 32u + 32u; other++) {
                sum += values[other];
            }
            let q = matched[own];
            diagonal[out] = params.ratio * sum + params.inverse * w[matrix + q * stride + q];
        }
    }
}
