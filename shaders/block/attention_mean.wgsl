// y[b, i, j] = mean over heads of P[b, h, query + i, E + j], where P is computed as in attention.wgsl, from the `rows`
// that attention.wgsl stores. With the queries of all patch tokens y is W; with the query of the class token alone y is
// dominance. A thread computes 4 queries by 4 keys.
#import block/attention_mean_params.wgsl
#import shared/grid.wgsl
#import shared/input.wgsl

override PROPORTIONAL: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Input4>;        // [B, T, row4]
@group(0) @binding(2) var<storage, read> sizes: array<f32>;         // [B, T], read with PROPORTIONAL only
@group(0) @binding(3) var<storage, read> rows: array<vec2<f32>>;    // [B, H, T]: max logit, 1 / sum of exponentials
@group(0) @binding(4) var<storage, read_write> y: array<f32>;       // [B, Q, N]

fn load(at: vec4<u32>, element: u32) -> mat4x4<f32> {
    let place = at + element;
    return mat4x4(widen(qkv[place.x]), widen(qkv[place.y]), widen(qkv[place.z]), widen(qkv[place.w]));
}

fn key_bias(image: u32, key: vec4<u32>) -> vec4<f32> {
    if PROPORTIONAL {
        let place = image * params.tokens + key;
        return log(vec4(sizes[place.x], sizes[place.y], sizes[place.z], sizes[place.w]));
    }
    return vec4(0.0);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let patches = params.tokens - params.prefix;
    let across = (patches + 3u) / 4u;
    let down = (params.queries + 3u) / 4u;
    let tile = grid_index(group, counts) * 64u + thread;
    if tile >= across * down * params.images {
        return;
    }
    let four = vec4(0u, 1u, 2u, 3u);
    let image = tile / across / down;
    let i = tile / across % down * 4u;
    let j = tile % across * 4u;
    let query = params.query + min(vec4(i) + four, vec4(params.queries - 1u));
    let key = params.prefix + min(vec4(j) + four, vec4(patches - 1u));
    let q = (image * params.tokens + query) * params.row4;
    let k = (image * params.tokens + key) * params.row4 + params.key_offset4;
    let bias = key_bias(image, key);
    // The sum over heads, with a query in each column.
    var sum = mat4x4<f32>();
    // The loop starts at a number that depends on the image: if the trip count followed from uniforms alone, lavapipe
    // would unroll the loop and compile the kernel again at every dispatch.
    let start = image * params.heads * params.tokens;
    var head = 0u;
    for (var row = start; row < start + params.heads * params.tokens; row += params.tokens) {
        var s = mat4x4<f32>();
        for (var d = head; d < head + params.head4; d++) {
            s += transpose(load(k, d)) * load(q, d);
        }
        let place = row + query;
        let r0 = rows[place.x];
        let r1 = rows[place.y];
        let r2 = rows[place.z];
        let r3 = rows[place.w];
        sum[0] += exp(s[0] * params.scale + bias - r0.x) * r0.y;
        sum[1] += exp(s[1] * params.scale + bias - r1.x) * r1.y;
        sum[2] += exp(s[2] * params.scale + bias - r2.x) * r2.y;
        sum[3] += exp(s[3] * params.scale + bias - r3.x) * r3.y;
        head += params.head4;
    }
    for (var row = 0u; row < min(4u, params.queries - i); row++) {
        let at = (image * params.queries + i + row) * patches + j;
        for (var column = 0u; column < min(4u, patches - j); column++) {
            y[at + column] = sum[row][column] / f32(params.heads);
        }
    }
}
