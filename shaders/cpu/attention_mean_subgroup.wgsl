// attention_mean.wgsl by octets: an octet computes 8 GROUPS queries by 32 keys, of which a lane has 4.
#import block/attention_mean_params.wgsl
#import shared/grid.wgsl
#import shared/input.wgsl
#import shared/octet.wgsl

override PROPORTIONAL: bool = false;
override GROUPS: u32 = 3u; // groups of 8 queries, at most 3

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

// Adds one head's probabilities of query r. Lane r holds that query's entry of `rows`.
fn add(sum: ptr<function, Rows>, s: ptr<function, Rows>, bias: vec4<f32>, row: vec2<f32>, first: u32, r: u32) {
    let most = subgroupShuffle(row.x, first + r);
    let inverse = subgroupShuffle(row.y, first + r);
    (*sum)[r] += exp((*s)[r] * params.scale + bias - most) * inverse;
}

fn add_all(sum: ptr<function, Rows>, s: ptr<function, Rows>, bias: vec4<f32>, row: vec2<f32>, first: u32) {
    add(sum, s, bias, row, first, 0u);
    add(sum, s, bias, row, first, 1u);
    add(sum, s, bias, row, first, 2u);
    add(sum, s, bias, row, first, 3u);
    add(sum, s, bias, row, first, 4u);
    add(sum, s, bias, row, first, 5u);
    add(sum, s, bias, row, first, 6u);
    add(sum, s, bias, row, first, 7u);
}

fn store(sum: vec4<f32>, at: u32, keys: u32, exists: bool) {
    let mean = sum / f32(params.heads);
    if exists && keys > 0u { y[at] = mean.x; }
    if exists && keys > 1u { y[at + 1u] = mean.y; }
    if exists && keys > 2u { y[at + 2u] = mean.z; }
    if exists && keys > 3u { y[at + 3u] = mean.w; }
}

fn store_all(sum: ptr<function, Rows>, at: u32, patches: u32, keys: u32, queries: u32) {
    store((*sum)[0], at + 0u * patches, keys, queries > 0u);
    store((*sum)[1], at + 1u * patches, keys, queries > 1u);
    store((*sum)[2], at + 2u * patches, keys, queries > 2u);
    store((*sum)[3], at + 3u * patches, keys, queries > 3u);
    store((*sum)[4], at + 4u * patches, keys, queries > 4u);
    store((*sum)[5], at + 5u * patches, keys, queries > 5u);
    store((*sum)[6], at + 6u * patches, keys, queries > 6u);
    store((*sum)[7], at + 7u * patches, keys, queries > 7u);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
) {
    let own = octet(subgroup, subgroup_size, invocation);
    let patches = params.tokens - params.prefix;
    let across = (patches + 31u) / 32u;
    let down = (params.queries + 8u * GROUPS - 1u) / (8u * GROUPS);
    let tile = grid_index(group, counts) * OCTETS + own.index;
    if tile >= across * down * params.images {
        return;
    }
    let first = own.first;
    let image = tile / across / down;
    let i = tile / across % down * 8u * GROUPS;
    let j = tile % across * 32u + own.lane * 4u;
    let origin = image * params.tokens;
    let last = params.queries - 1u;
    let query0 = params.query + min(i + own.lane, last);
    let query1 = params.query + min(i + 8u + own.lane, last);
    let query2 = params.query + min(i + 16u + own.lane, last);
    let key = params.prefix + min(vec4(j) + vec4(0u, 1u, 2u, 3u), vec4(patches - 1u));
    let k = (origin + key) * params.row4 + params.key_offset4;
    let bias = key_bias(image, key);
    var sum0 = Rows();
    var sum1 = Rows();
    var sum2 = Rows();
    // The loop starts at a number that depends on the image: if the trip count followed from uniforms alone, lavapipe
    // would unroll the loop and compile the kernel again at every dispatch.
    let start = image * params.heads * params.tokens;
    var head = 0u;
    for (var row = start; row < start + params.heads * params.tokens; row += params.tokens) {
        var s0 = Rows();
        var s1 = Rows();
        var s2 = Rows();
        for (var d = head; d < head + params.head4; d++) {
            let transposed = transpose(load(k, d));
            multiply(&s0, transposed, widen(qkv[(origin + query0) * params.row4 + d]), first);
            if GROUPS > 1u { multiply(&s1, transposed, widen(qkv[(origin + query1) * params.row4 + d]), first); }
            if GROUPS > 2u { multiply(&s2, transposed, widen(qkv[(origin + query2) * params.row4 + d]), first); }
        }
        add_all(&sum0, &s0, bias, rows[row + query0], first);
        if GROUPS > 1u { add_all(&sum1, &s1, bias, rows[row + query1], first); }
        if GROUPS > 2u { add_all(&sum2, &s2, bias, rows[row + query2], first); }
        head += params.head4;
    }
    let at = (image * params.queries + i) * patches + j;
    let keys = patches - min(j, patches);
    let rest = params.queries - i;
    store_all(&sum0, at, patches, keys, rest);
    if GROUPS > 1u { store_all(&sum1, at + 8u * patches, patches, keys, max(rest, 8u) - 8u); }
    if GROUPS > 2u { store_all(&sum2, at + 16u * patches, patches, keys, max(rest, 16u) - 16u); }
}
