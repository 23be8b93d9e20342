// convolve.wgsl by cooperative matrices of numbers rounded to f16, with f32 sums. A convolution is a matrix product.
// Its left matrix has a row for each pixel of y, with the inputs that lie under the kernel at that pixel; its right
// matrix is w. The left matrix is never stored in full: slabs of it are gathered through registers into workgroup
// memory, and while one slab is multiplied, the next is fetched. A workgroup has DOWN by two subgroups, and each keeps
// 2 by 2 matrices of sums.
#import embed/convolve_params.wgsl
#import shared/cooperative.wgsl
#import shared/grid.wgsl
#import shared/pack.wgsl
#import shared/words.wgsl

override RELU: bool = false;
// `params.kernel` as a constant, so that the compiler knows the divisor.
override KERNEL: u32 = 3u;
// Whether the channels of x are a whole number of slabs. If so, a slab holds several channels at one place of the
// kernel. If not, it holds the places of the kernel, channel by channel, in the order of w.
override WHOLE: bool = true;
override DOWN: u32 = 2u;
// SUBGROUPS times the largest size that a subgroup may have here; a multiple of ROWS. If the subgroups are smaller, a
// workgroup has more of them: the additional ones repeat the work of the others, but store nothing.
override THREADS: u32 = 128u;
// 1 if there may be such additional subgroups, else 0.
override OTHERS: u32 = 1u;

override SUBGROUPS: u32 = 2u * DOWN;
override ROWS: u32 = 2u * DOWN * SIDE;
const COLUMNS4: u32 = SIDE;
const DEPTH: u32 = 2u * SIDE;
// Neighbouring numbers of a slab's row that a thread gathers: 4, 8 or 16.
override EACH: u32 = DEPTH * ROWS / THREADS;
// Rows of a slab are stored 16 bytes further apart than they are long, so that the rows of one matrix lie in different
// banks.
const LEFT_STRIDE8: u32 = DEPTH / 8u + 1u;
const RIGHT_STRIDE8: u32 = COLUMNS4 / 2u + 1u;
override LEFT8: u32 = ROWS * LEFT_STRIDE8;
const RIGHT8: u32 = DEPTH * RIGHT_STRIDE8;
// Matrices of sums pass through `sums` on their way to y: each subgroup that stores has a slot, and all others have one
// together.
const SLOT4: u32 = SIDE * SIDE / 4u;
override SUMS4: u32 = (SUBGROUPS + OTHERS) * SLOT4;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;          // [B, C, S, S]
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;    // [C, K, K, columns4], zero past `outputs`
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // [columns4]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;    // [B, O, U, U]

// Where the kernel lies for a pixel of y: the index of the image's first number, and the kernel's first line and
// column. Above the image, and left of it, these wrap to numbers past its end.
struct Under {
    image: u32,
    line: u32,
    column: u32,
}

fn under(pixel: u32) -> Under {
    let area = params.out_side * params.out_side;
    let place = pixel % area;
    return Under(
        pixel / area * params.inputs * params.side * params.side,
        place / params.out_side * params.stride - params.padding,
        place % params.out_side * params.stride - params.padding,
    );
}

// The input under place `tap` of the kernel in channel `input`; zero outside the image.
fn number(at: Under, input: u32, tap: u32) -> f32 {
    let line = at.line + tap / KERNEL;
    let column = at.column + tap % KERNEL;
    var value = 0.0;
    if input < params.inputs && line < params.side && column < params.side {
        value = x[at.image + (input * params.side + line) * params.side + column];
    }
    return value;
}

// Four of the numbers that a thread gathers of the slab that begins at `first`.
fn fetch_left(part: u32, thread: u32, at: Under, first: u32) -> vec4<f32> {
    var four = vec4<f32>(0.0);
    if part * 4u >= EACH {
        return four;
    }
    let k = first + thread / ROWS * EACH + part * 4u;
    if WHOLE {
        let tap = first / params.inputs;
        let line = at.line + tap / KERNEL;
        let column = at.column + tap % KERNEL;
        let area = params.side * params.side;
        let start = at.image + (k - tap * params.inputs) * area + line * params.side + column;
        if line < params.side && column < params.side {
            four = vec4(x[start], x[start + area], x[start + 2u * area], x[start + 3u * area]);
        }
        return four;
    }
    return vec4(
        number(at, k / (KERNEL * KERNEL), k % (KERNEL * KERNEL)),
        number(at, (k + 1u) / (KERNEL * KERNEL), (k + 1u) % (KERNEL * KERNEL)),
        number(at, (k + 2u) / (KERNEL * KERNEL), (k + 2u) % (KERNEL * KERNEL)),
        number(at, (k + 3u) / (KERNEL * KERNEL), (k + 3u) % (KERNEL * KERNEL)),
    );
}

fn stage_left(part: u32, thread: u32, value: vec4<f32>) {
    if part * 4u < EACH {
        let at4 = thread % ROWS * 2u * LEFT_STRIDE8 + thread / ROWS * (EACH / 4u) + part;
        put_left4(at4, halves(vec2(pack(value.xy), pack(value.zw))));
    }
}

// A thread's vec4 number i of a slab of the weights. Columns past the end of w repeat the last one, and are never
// stored; rows past the end are zero.
fn fetch_right(i: u32, thread: u32, first: u32, first_column4: u32) -> vec4<f32> {
    let at = thread + i * THREADS;
    if i * THREADS >= DEPTH * COLUMNS4 || at >= DEPTH * COLUMNS4 {
        return vec4<f32>(0.0);
    }
    var row = first + at / COLUMNS4;
    if WHOLE {
        let tap = first / params.inputs;
        row = (row - tap * params.inputs) * (KERNEL * KERNEL) + tap;
    }
    var four = vec4<f32>(0.0);
    if WHOLE || row < params.inputs * KERNEL * KERNEL {
        four = w[row * params.columns4 + min(first_column4 + at % COLUMNS4, params.columns4 - 1u)];
    }
    return four;
}

fn stage_right(i: u32, thread: u32, value: vec4<f32>) {
    let at = thread + i * THREADS;
    if i * THREADS < DEPTH * COLUMNS4 && at < DEPTH * COLUMNS4 {
        let at4 = at / COLUMNS4 * 2u * RIGHT_STRIDE8 + at % COLUMNS4;
        put_right4(at4, halves(vec2(pack(value.xy), pack(value.zw))));
    }
}

// The slot in `sums` of a thread's subgroup, the thread's index in the subgroup, and the number of threads there.
struct Lane {
    slot: u32,
    index: u32,
    count: u32,
}

// Stores a matrix of sums, pixels by channels, to y. Neighbouring lanes store neighbouring pixels, which are neighbours
// in memory.
fn store(sum: Sum, lane: Lane, first_pixel: u32, first_column4: u32) {
    let slot = lane.slot * SLOT4;
    put_sum(sum, slot, SIDE / 4u);
    subgroupBarrier();
    if lane.slot < SUBGROUPS {
        let area = params.out_side * params.out_side;
        for (var i = lane.index; i < SLOT4; i += lane.count) {
            let pixel = first_pixel + i % SIDE;
            let column4 = first_column4 + i / SIDE;
            var value = take_sum(slot + i % SIDE * (SIDE / 4u) + i / SIDE);
            value += bias[min(column4, params.columns4 - 1u)];
            if RELU {
                // This is not max, which may lose a NaN.
                value = select(value, vec4(0.0), value < vec4(0.0));
            }
            if pixel < params.images * area {
                let at = (pixel / area * params.outputs + column4 * 4u) * area + pixel % area;
                store_one(at, column4 * 4u, value.x);
                store_one(at + area, column4 * 4u + 1u, value.y);
                store_one(at + 2u * area, column4 * 4u + 2u, value.z);
                store_one(at + 3u * area, column4 * 4u + 3u, value.w);
            }
        }
    }
    subgroupBarrier();
}

fn store_one(at: u32, output: u32, value: f32) {
    if output < params.outputs {
        y[at] = value;
    }
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
    // Neighbouring workgroups take neighbouring channels of the same pixels.
    let across = (params.columns4 + COLUMNS4 - 1u) / COLUMNS4;
    let place = grid_index(group, counts);
    let first_pixel = place / across * ROWS;
    let first_column4 = place % across * COLUMNS4;
    // Pixels past the end repeat the last one, and are not stored.
    let last_pixel = params.images * params.out_side * params.out_side - 1u;
    let at = under(min(first_pixel + thread % ROWS, last_pixel));
    let row = subgroup / 2u % DOWN * 2u * SIDE;
    let column = subgroup % 2u * 2u * SIDE;
    let depth = params.inputs * KERNEL * KERNEL;

    var c00: Sum;
    var c01: Sum;
    var c10: Sum;
    var c11: Sum;
    var x0 = fetch_left(0u, thread, at, 0u);
    var x1 = fetch_left(1u, thread, at, 0u);
    var x2 = fetch_left(2u, thread, at, 0u);
    var x3 = fetch_left(3u, thread, at, 0u);
    var w0 = fetch_right(0u, thread, 0u, first_column4);
    var w1 = fetch_right(1u, thread, 0u, first_column4);
    var w2 = fetch_right(2u, thread, 0u, first_column4);
    var w3 = fetch_right(3u, thread, 0u, first_column4);
    for (var first = 0u; first < depth; first += DEPTH) {
        workgroupBarrier();
        stage_left(0u, thread, x0);
        stage_left(1u, thread, x1);
        stage_left(2u, thread, x2);
        stage_left(3u, thread, x3);
        stage_right(0u, thread, w0);
        stage_right(1u, thread, w1);
        stage_right(2u, thread, w2);
        stage_right(3u, thread, w3);
        workgroupBarrier();
        // After the last slab, the same slab is fetched again and not used.
        let next = select(first, first + DEPTH, first + DEPTH < depth);
        x0 = fetch_left(0u, thread, at, next);
        x1 = fetch_left(1u, thread, at, next);
        x2 = fetch_left(2u, thread, at, next);
        x3 = fetch_left(3u, thread, at, next);
        w0 = fetch_right(0u, thread, next, first_column4);
        w1 = fetch_right(1u, thread, next, first_column4);
        w2 = fetch_right(2u, thread, next, first_column4);
        w3 = fetch_right(3u, thread, next, first_column4);
        for (var k8 = 0u; k8 < DEPTH / 8u; k8 += SIDE / 8u) {
            let a0 = load_left(row * LEFT_STRIDE8 + k8, LEFT_STRIDE8);
            let a1 = load_left((row + SIDE) * LEFT_STRIDE8 + k8, LEFT_STRIDE8);
            let b0 = load_right(k8 * 8u * RIGHT_STRIDE8 + column / 8u, RIGHT_STRIDE8);
            let b1 = load_right(k8 * 8u * RIGHT_STRIDE8 + (column + SIDE) / 8u, RIGHT_STRIDE8);
            c00 = coopMultiplyAdd(a0, b0, c00);
            c01 = coopMultiplyAdd(a0, b1, c01);
            c10 = coopMultiplyAdd(a1, b0, c10);
            c11 = coopMultiplyAdd(a1, b1, c11);
        }
    }

    let lane = Lane(min(subgroup, SUBGROUPS), index, count);
    let i = first_pixel + row;
    let j = first_column4 + column / 4u;
    store(c00, lane, i, j);
    store(c01, lane, i, j + SIDE / 4u);
    store(c10, lane, i + SIDE, j);
    store(c11, lane, i + SIDE, j + SIDE / 4u);
}
