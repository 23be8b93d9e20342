// Computes one row of r C for each workgroup, without storing C. r is a unit vector, which gives a row of C, or all
// 1/N, which gives the mean over rows. The factors of C are applied to r one by one, from the right.
//
//   power sum   C = W + a W^2 + ... + a^(K-1) W^K
//   Newton      C = W (I - a^K W^K) X,  X = sum over j < 2^steps of X0 (I - A X0)^j,  A = I - a W,  X0 = diag(A)^-1
//
// (The sum X equals `steps` iterations of eq. 10.) Results are scaled by s^(1-K) for the power sum and by s^-K for
// Newton, with s = max(a, 1), which keeps K = 32 at a = 500 finite. `ratio` is a / s and `inverse` is 1 / s.
struct Params {
    patches: u32,     // N, at most 2048
    rows: u32,        // rows computed for each image
    list_stride: u32, // elements of `list` from one image to the next
    list_offset: u32, // place of the first row's index in an image's `list`
    order: u32,       // K
    terms: u32,       // 2^steps
    alpha: f32,       // a
    ratio: f32,
    inverse: f32,
}

// With MEAN, r is all 1/N, and `list` is not read.
override MEAN: bool = false;
override NEWTON: bool = false;
// Compute C r instead of r C; with MEAN this is the mean over columns.
override FROM_LEFT: bool = false;
// Store element p of row p only.
override DIAGONAL: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;            // [B, N, N]
@group(0) @binding(2) var<storage, read> list: array<u32>;         // [B, list_stride], row indices
@group(0) @binding(3) var<storage, read_write> result: array<f32>; // [B, rows, N]; with DIAGONAL [B, rows]

const THREADS: u32 = 128u;
const CAPACITY: u32 = 2048u;

var<workgroup> operand: array<f32, 2048>; // the vector that is multiplied by W
var<workgroup> partials: array<f32, 128>;

// A thread owns the elements thread, thread + 128, ...: element e of its Slice has the index thread + 128 e.
alias Slice = array<f32, 16>;

// The dot product of elements i to i + 3 of `operand` with four elements of w, from `at` on and `step` apart.
fn four(i: u32, at: u32, step: u32) -> f32 {
    return operand[i] * w[at] + operand[i + 1u] * w[at + step]
        + operand[i + 2u] * w[at + 2u * step] + operand[i + 3u] * w[at + 3u * step];
}

// v = v W, or W v with FROM_LEFT. Call this from uniform control flow. An iteration adds sixteen terms, because
// llvmpipe silently ends every loop of a thread once its loops have run 65,535 iterations in all. With one term for
// each iteration, N = 577 reached that limit at K = 24, and N = 2048 at K = 3.
fn multiply(v: ptr<function, Slice>, base: u32, thread: u32) {
    let n = params.patches;
    workgroupBarrier();
    for (var j = thread; j < n; j += THREADS) {
        operand[j] = (*v)[j / THREADS];
    }
    workgroupBarrier();
    let step = select(n, 1u, FROM_LEFT);
    for (var j = thread; j < n; j += THREADS) {
        var at = base + select(j, j * n, FROM_LEFT);
        var sum = 0.0;
        var i = 0u;
        while i + 16u <= n {
            sum += four(i, at, step) + four(i + 4u, at + 4u * step, step)
                + (four(i + 8u, at + 8u * step, step) + four(i + 12u, at + 12u * step, step));
            i += 16u;
            at += 16u * step;
        }
        while i < n {
            sum += operand[i] * w[at];
            i += 1u;
            at += step;
        }
        (*v)[j / THREADS] = sum;
    }
}

// v = r W, which is a row of W if r is a unit vector. Call this from uniform control flow.
fn first_product(v: ptr<function, Slice>, base: u32, row: u32, thread: u32) {
    let n = params.patches;
    for (var j = thread; j < n; j += THREADS) {
        (*v)[j / THREADS] = select(w[base + row * n + j], 1.0 / f32(n), MEAN);
    }
    if MEAN {
        multiply(v, base, thread);
    }
}

// Element `index` of r.
fn start(index: u32, row: u32) -> f32 {
    return select(select(0.0, 1.0, index == row), 1.0 / f32(params.patches), MEAN);
}

// y_1 = r W, y_(m+1) = (ratio y_m + s^-m r) W; y_K is the scaled result. With DIAGONAL, the last product is computed
// for one element only. Returns true if that element was left in `partials[0]`.
fn power_sum(v: ptr<function, Slice>, base: u32, row: u32, thread: u32) -> bool {
    let n = params.patches;
    first_product(v, base, row, thread);
    var factor = 1.0;
    for (var m = 1u; m < params.order; m++) {
        factor *= params.inverse;
        for (var j = thread; j < n; j += THREADS) {
            (*v)[j / THREADS] = params.ratio * (*v)[j / THREADS] + factor * start(j, row);
        }
        if DIAGONAL && m + 1u == params.order {
            var sum = 0.0;
            for (var i = thread; i < n; i += THREADS) {
                sum += (*v)[i / THREADS] * w[base + i * n + row];
            }
            workgroupBarrier();
            partials[thread] = sum;
            for (var half = THREADS / 2u; half > 0u; half /= 2u) {
                workgroupBarrier();
                if thread < half {
                    partials[thread] += partials[thread + half];
                }
            }
            return true;
        }
        multiply(v, base, thread);
    }
    return false;
}

// v = v W^K.
fn power(v: ptr<function, Slice>, base: u32, thread: u32) {
    for (var m = 0u; m < params.order; m++) {
        multiply(v, base, thread);
    }
}

// Element j of diag(I - a W)^-1.
fn jacobi(base: u32, j: u32) -> f32 {
    return 1.0 / (1.0 - params.alpha * w[base + j * params.patches + j]);
}

// v = v (s^-K I - ratio^K W^K).
fn truncate(v: ptr<function, Slice>, base: u32, thread: u32) {
    let n = params.patches;
    var plain = 1.0;
    var powered = 1.0;
    for (var m = 0u; m < params.order; m++) {
        plain *= params.inverse;
        powered *= params.ratio;
    }
    var product = *v;
    power(&product, base, thread);
    for (var j = thread; j < n; j += THREADS) {
        (*v)[j / THREADS] = plain * (*v)[j / THREADS] - powered * product[j / THREADS];
    }
}

// v = v X, or X v with FROM_LEFT.
fn invert(v: ptr<function, Slice>, base: u32, thread: u32) {
    let n = params.patches;
    var term = *v;
    for (var j = thread; j < n; j += THREADS) {
        let e = j / THREADS;
        term[e] *= jacobi(base, j);
        (*v)[e] = term[e];
    }
    for (var t = 1u; t < params.terms; t++) {
        // term -= (term A) X0, where A = I - a W.
        var product = term;
        multiply(&product, base, thread);
        for (var j = thread; j < n; j += THREADS) {
            let e = j / THREADS;
            term[e] -= (term[e] - params.alpha * product[e]) * jacobi(base, j);
            (*v)[e] += term[e];
        }
    }
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let n = params.patches;
    let image = group.y;
    let base = image * n * n;
    var row = 0u;
    if !MEAN {
        row = min(list[image * params.list_stride + params.list_offset + group.x], n - 1u);
    }
    var v: Slice;
    var in_partials = false;
    if NEWTON && FROM_LEFT {
        for (var j = thread; j < n; j += THREADS) {
            v[j / THREADS] = start(j, row);
        }
        invert(&v, base, thread);
        truncate(&v, base, thread);
        multiply(&v, base, thread);
    } else if NEWTON {
        first_product(&v, base, row, thread);
        truncate(&v, base, thread);
        invert(&v, base, thread);
    } else {
        in_partials = power_sum(&v, base, row, thread);
    }
    let out = image * params.rows + group.x;
    if DIAGONAL {
        if in_partials {
            if thread == 0u {
                result[out] = partials[0];
            }
        } else if row % THREADS == thread {
            result[out] = v[row / THREADS];
        }
    } else {
        for (var j = thread; j < n; j += THREADS) {
            result[out * n + j] = v[j / THREADS];
        }
    }
}
