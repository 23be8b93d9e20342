// What query_key.wgsl makes, in octets: 8 GROUPS queries by 32 keys to each, of which a lane has 4. With SYMMETRIC, tiles
// below the diagonal have nothing to do, and elements below it come from those above.
#import shared/octet.wgsl
#import shared/rows.wgsl

struct Params {
    tokens: u32,     // T, queries and keys alike
    heads: u32,      // H
    row4: u32,       // vec4s from one token of x to the next
    key_offset4: u32,// vec4s from a token's queries to its keys
    head4: u32,      // Dh / 4
    stride: u32,     // elements of a row of y, at least T
    scale: f32,
}

override PROPORTIONAL: bool = false;
override SYMMETRIC: bool = false;
override GROUPS: u32 = 3u; // of 8 queries, at most 3

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> sizes: array<f32>;   // [B, T], read with PROPORTIONAL only
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [B, H, T, stride]

fn store(products: vec4<f32>, base: u32, query: u32, key: u32, bias: vec4<f32>) {
    if query >= params.tokens {
        return;
    }
    let values = products * params.scale + bias;
    for (var i = 0u; i < 4u; i++) {
        if key + i < params.tokens && (!SYMMETRIC || key + i >= query) {
            y[base + query * params.stride + key + i] = values[i];
            if SYMMETRIC {
                y[base + (key + i) * params.stride + query] = values[i];
            }
        }
    }
}

fn store_all(products: ptr<function, Rows>, base: u32, query: u32, key: u32, bias: vec4<f32>) {
    store((*products)[0], base, query + 0u, key, bias);
    store((*products)[1], base, query + 1u, key, bias);
    store((*products)[2], base, query + 2u, key, bias);
    store((*products)[3], base, query + 3u, key, bias);
    store((*products)[4], base, query + 4u, key, bias);
    store((*products)[5], base, query + 5u, key, bias);
    store((*products)[6], base, query + 6u, key, bias);
    store((*products)[7], base, query + 7u, key, bias);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
) {
    let own = octet(subgroup, subgroup_size, invocation);
    let across = (params.tokens + 31u) / 32u;
    let tile = group.x * OCTETS + own.index;
    let query = tile / across * 8u * GROUPS;
    let first_key = tile % across * 32u;
    if query >= params.tokens || (SYMMETRIC && first_key + 31u < query) {
        return;
    }
    let first = own.first;
    let head = group.y;
    let image = group.z;
    let last = params.tokens - 1u;
    let own4 = head * params.head4;
    let q0 = row_of(image, min(query + own.lane, last), own4);
    let q1 = row_of(image, min(query + 8u + own.lane, last), own4);
    let q2 = row_of(image, min(query + 16u + own.lane, last), own4);
    let key = first_key + own.lane * 4u;
    let keys = min(vec4(key) + vec4(0u, 1u, 2u, 3u), vec4(last));
    let key4 = params.key_offset4 + own4;
    let k0 = row_of(image, keys.x, key4);
    let k1 = row_of(image, keys.y, key4);
    let k2 = row_of(image, keys.z, key4);
    let k3 = row_of(image, keys.w, key4);
    var a0 = Rows();
    var a1 = Rows();
    var a2 = Rows();
    for (var d = 0u; d < params.head4; d++) {
        let b = transpose(mat4x4(four(k0, d), four(k1, d), four(k2, d), four(k3, d)));
        multiply(&a0, b, four(q0, d), first);
        if GROUPS > 1u { multiply(&a1, b, four(q1, d), first); }
        if GROUPS > 2u { multiply(&a2, b, four(q2, d), first); }
    }
    var bias = vec4(0.0);
    if PROPORTIONAL {
        let place = image * params.tokens + keys;
        bias = log(vec4(sizes[place.x], sizes[place.y], sizes[place.z], sizes[place.w]));
    }
    let base = (image * params.heads + head) * params.tokens * params.stride;
    store_all(&a0, base, query, key, bias);
    if GROUPS > 1u { store_all(&a1, base, query + 8u, key, bias); }
    if GROUPS > 2u { store_all(&a2, base, query + 16u, key, bias); }
}
