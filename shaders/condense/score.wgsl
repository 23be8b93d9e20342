// Eq. 11, S = -c + b D, and the selection of the tokens to keep by S. One workgroup handles one image. c is the mean
// over the rows of C. For K = 1 and 2 it is computed here from W's column sums: u = 1/N 1^T W is c for K = 1, and
// (ratio u + inverse/N 1^T) W is c for K = 2, at the scale of `connectivity.wgsl`. With NORMALISE c is divided by its
// own sum, so that the scale of C does not matter. Without NORMALISE c is multiplied by `scale`, which restores the
// true scale.
#import condense/score_params.wgsl
#import shared/float.wgsl
#import shared/select.wgsl

override ORDER: u32 = 0u; // K; 0: `column_sums` holds c itself
override NORMALISE: bool = true;
override CONNECTIVITY: bool = true; // whether c is part of S
override DOMINANCE: bool = true;    // whether D is part of S

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;           // W [B, N, stride], read with ORDER 2 only
@group(0) @binding(2) var<storage, read> column_sums: array<f32>; // [B, strips, stride], or c [B, N]
@group(0) @binding(3) var<storage, read> dominance: array<f32>;   // D [B, N]
@group(0) @binding(4) var<storage, read_write> score: array<f32>; // S [B, N]
@group(0) @binding(5) var<storage, read_write> order: array<u32>; // [B, N]: kept, then dropped tokens
@group(0) @binding(6) var<storage, read_write> slot: array<u32>;  // [B, N]: place among the kept tokens, or DROPPED

var<workgroup> partials: array<f32, 1024>;

// Element i of the vector that W is multiplied by with ORDER 2; otherwise element i of c.
fn given(image: u32, i: u32) -> f32 {
    let n = params.patches;
    if ORDER == 0u {
        return column_sums[image * n + i];
    }
    var sum = 0.0;
    for (var strip = 0u; strip < params.strips; strip++) {
        sum += column_sums[(image * params.strips + strip) * params.stride + params.shift + i];
    }
    let mean = sum / f32(n);
    return select(mean, params.ratio * mean + params.inverse / f32(n), ORDER == 2u);
}

// Multiplies `keys`, read as floats, by W. Four groups of 64 threads divide the rows; a thread has four columns of
// every 256.
fn multiply(image: u32, thread: u32) {
    let n = params.patches;
    var product: array<f32, 8>;
    for (var pass_index = 0u; pass_index * THREADS < n; pass_index++) {
        let column = pass_index * THREADS + thread % 64u * 4u;
        var sum = vec4<f32>(0.0);
        if column < n {
            let last = n - 1u;
            let base = image * n * params.stride + params.shift;
            for (var i = thread / 64u; i < n; i += 4u) {
                let row = base + i * params.stride;
                sum += bitcast<f32>(keys[i]) * vec4(
                    w[row + column],
                    w[row + min(column + 1u, last)],
                    w[row + min(column + 2u, last)],
                    w[row + min(column + 3u, last)],
                );
            }
        }
        let at = thread * 4u;
        partials[at] = sum.x;
        partials[at + 1u] = sum.y;
        partials[at + 2u] = sum.z;
        partials[at + 3u] = sum.w;
        workgroupBarrier();
        product[pass_index] =
            partials[thread] + partials[thread + 256u] + (partials[thread + 512u] + partials[thread + 768u]);
        workgroupBarrier();
    }
    for (var i = thread; i < n; i += THREADS) {
        keys[i] = bitcast<u32>(product[i / THREADS]);
    }
    workgroupBarrier();
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let n = params.patches;
    let image = group.x;
    let first = image * n;
    let run = run_length(n);
    let begin = min(thread * run, n);
    let end = min(begin + run, n);
    var factor = params.scale;
    if CONNECTIVITY {
        for (var i = thread; i < n; i += THREADS) {
            keys[i] = bitcast<u32>(given(image, i));
        }
        workgroupBarrier();
        if ORDER == 2u {
            multiply(image, thread);
        }
        if NORMALISE {
            var sum = 0.0;
            for (var i = begin; i < end; i++) {
                sum += bitcast<f32>(keys[i]);
            }
            partials[thread] = sum;
            workgroupBarrier();
            sum = 0.0;
            if begin < end {
                for (var i = 0u; i * run < n; i++) {
                    sum += partials[i];
                }
            }
            factor = 1.0 / sum;
        }
    }
    // From here on a thread reads and writes only the keys of its own run.
    for (var i = begin; i < end; i++) {
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
    select_kept(n, params.kept, first, thread);
}
