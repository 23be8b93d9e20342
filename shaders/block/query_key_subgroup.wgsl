// Cosines of unit rows with each other, by octets: a tile has 8 GROUPS rows by 32 rows, of which a lane has 4. Tiles
// below the diagonal return at once; elements below the diagonal are copied from those above.
#import block/query_key_params.wgsl
#import shared/octet.wgsl

override GROUPS: u32 = 3u; // groups of 8 queries in a tile, at most 3

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [B, T, head4]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [B, T, stride]

// The first vec4 of the row of `token`.
fn row_of(image: u32, token: u32) -> u32 {
    return (image * params.tokens + token) * params.head4;
}

fn store(products: vec4<f32>, base: u32, query: u32, key: u32) {
    if query >= params.tokens {
        return;
    }
    for (var i = 0u; i < 4u; i++) {
        if key + i < params.tokens && key + i >= query {
            y[base + query * params.stride + key + i] = products[i];
            y[base + (key + i) * params.stride + query] = products[i];
        }
    }
}

fn store_all(products: ptr<function, Rows>, base: u32, query: u32, key: u32) {
    store((*products)[0], base, query + 0u, key);
    store((*products)[1], base, query + 1u, key);
    store((*products)[2], base, query + 2u, key);
    store((*products)[3], base, query + 3u, key);
    store((*products)[4], base, query + 4u, key);
    store((*products)[5], base, query + 5u, key);
    store((*products)[6], base, query + 6u, key);
    store((*products)[7], base, query + 7u, key);
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
    if query >= params.tokens || first_key + 31u < query {
        return;
    }
    let first = own.first;
    let image = group.z;
    let last = params.tokens - 1u;
    let q0 = row_of(image, min(query + own.lane, last));
    let q1 = row_of(image, min(query + 8u + own.lane, last));
    let q2 = row_of(image, min(query + 16u + own.lane, last));
    let key = first_key + own.lane * 4u;
    let k0 = row_of(image, min(key, last));
    let k1 = row_of(image, min(key + 1u, last));
    let k2 = row_of(image, min(key + 2u, last));
    let k3 = row_of(image, min(key + 3u, last));
    var a0 = Rows();
    var a1 = Rows();
    var a2 = Rows();
    for (var d = 0u; d < params.head4; d++) {
        let b = transpose(mat4x4(x[k0 + d], x[k1 + d], x[k2 + d], x[k3 + d]));
        multiply(&a0, b, x[q0 + d], first);
        if GROUPS > 1u { multiply(&a1, b, x[q1 + d], first); }
        if GROUPS > 2u { multiply(&a2, b, x[q2 + d], first); }
    }
    let base = image * params.tokens * params.stride;
    store_all(&a0, base, query, key);
    if GROUPS > 1u { store_all(&a1, base, query + 8u, key); }
    if GROUPS > 2u { store_all(&a2, base, query + 16u, key); }
}
