// S[i] = (1 - u[i]) D[i]^g size[i]^h, where u[i] is the largest cosine of token i with a token that outranks it, or -1
// if none does. A token outranks another if it has a larger dominance, or the same dominance and a lower index. So of
// two nearly equal tokens, only the less dominant one gets a low score. A workgroup handles 64 tokens: a thread handles
// four of them, on every ROWS-th row of the cosines.
#import shared/float.wgsl

struct Params {
    patches: u32,  // N
    prefix: u32,   // E
    exponent: f32, // g
    size_exponent: f32, // h
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> cosine: array<f32>;      // [B, N, N], symmetric
@group(0) @binding(2) var<storage, read> dominance: array<f32>;   // [B, N]
@group(0) @binding(3) var<storage, read> sizes: array<f32>;       // [B, E + N], at least 1
@group(0) @binding(4) var<storage, read_write> score: array<f32>; // [B, N]

// Rows of cosines that are read side by side, 4 or 16. On a software adapter 4 are enough: more would only add threads.
override ROWS: u32 = 4u;
override THREADS: u32 = 16u * ROWS;

override PARTIALS_LENGTH: u32 = 64u * ROWS;
var<workgroup> partials: array<f32, PARTIALS_LENGTH>; // [ROWS, 64]

// D^g. A base of 0 or NaN, for which pow is not reliable, is returned unchanged, except that 0^0 is 1.
fn power(base: f32) -> f32 {
    if params.exponent == 0.0 {
        return select(1.0, base, is_nan(base));
    }
    return select(base, pow(base, params.exponent), base > 0.0);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let n = params.patches;
    let image = group.y;
    let first = image * n;
    let last = n - 1u;
    let rest = thread / 16u;
    let lane = thread % 16u;
    let tokens = group.x * 64u + lane * 4u + vec4(0u, 1u, 2u, 3u);
    let columns = min(tokens, vec4(last));
    let own = vec4(
        dominance[first + columns.x],
        dominance[first + columns.y],
        dominance[first + columns.z],
        dominance[first + columns.w],
    );
    var most = vec4(-1.0);
    if tokens.x < n {
        // Threads go down columns, because neighbouring threads then read neighbouring elements; the matrix is
        // symmetric.
        for (var other = rest; other < n; other += ROWS) {
            let theirs = vec4(dominance[first + other]);
            let at = (first + other) * n;
            let found = vec4(
                cosine[at + columns.x],
                cosine[at + columns.y],
                cosine[at + columns.z],
                cosine[at + columns.w],
            );
            let outranks = (theirs > own) | ((theirs == own) & (vec4(other) < tokens));
            most = max(most, select(vec4(-1.0), found, outranks));
        }
    }
    let at = rest * 64u + lane * 4u;
    partials[at] = most.x;
    partials[at + 1u] = most.y;
    partials[at + 2u] = most.z;
    partials[at + 3u] = most.w;
    workgroupBarrier();
    let token = group.x * 64u + thread;
    if thread >= 64u || token >= n {
        return;
    }
    var nearest = partials[thread];
    for (var part = 1u; part < ROWS; part++) {
        nearest = max(nearest, partials[part * 64u + thread]);
    }
    let size = sizes[image * (params.prefix + n) + params.prefix + token];
    score[first + token] = (1.0 - nearest) * power(dominance[first + token]) * pow(size, params.size_exponent);
}
