// What attention_mix.wgsl makes, in octets: 8 GROUPS queries by COLUMNS times 32 dimensions to each, of which a lane has 4
// in each column.
#import shared/input.wgsl
#import shared/octet.wgsl
#import shared/output.wgsl

struct Params {
    tokens: u32,       // T
    heads: u32,        // H
    stride4: u32,      // vec4s of a row of probs
    row4: u32,         // vec4s from one token of qkv to the next
    value_offset4: u32,// vec4s from a token's queries to its values
    head4: u32,        // Dh / 4
}

override GROUPS: u32 = 3u;  // of 8 queries, at most 3
override COLUMNS: u32 = 2u; // of 8 vec4s of a head, at most 2

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> probs: array<vec4<f32>>;   // [B, H, T, stride4]
@group(0) @binding(2) var<storage, read> qkv: array<Input4>;        // [B, T, row4]
@group(0) @binding(3) var<storage, read_write> y: array<Output4>;   // [B, T, H * head4]

fn load(at: vec4<u32>, element: u32) -> mat4x4<f32> {
    let place = at + min(element, params.head4 - 1u);
    return mat4x4(widen(qkv[place.x]), widen(qkv[place.y]), widen(qkv[place.z]), widen(qkv[place.w]));
}

// `queries` of the eight exist.
fn store_all(sums: ptr<function, Rows>, at: u32, width: u32, queries: u32) {
    if queries > 0u { y[at + 0u * width] = narrow((*sums)[0]); }
    if queries > 1u { y[at + 1u * width] = narrow((*sums)[1]); }
    if queries > 2u { y[at + 2u * width] = narrow((*sums)[2]); }
    if queries > 3u { y[at + 3u * width] = narrow((*sums)[3]); }
    if queries > 4u { y[at + 4u * width] = narrow((*sums)[4]); }
    if queries > 5u { y[at + 5u * width] = narrow((*sums)[5]); }
    if queries > 6u { y[at + 6u * width] = narrow((*sums)[6]); }
    if queries > 7u { y[at + 7u * width] = narrow((*sums)[7]); }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
) {
    let own = octet(subgroup, subgroup_size, invocation);
    let across = (params.head4 + 8u * COLUMNS - 1u) / (8u * COLUMNS);
    let tile = group.x * OCTETS + own.index;
    let element = tile % across * 8u * COLUMNS + own.lane;
    let query = tile / across * 8u * GROUPS;
    if query >= params.tokens {
        return;
    }
    let first = own.first;
    let head = group.y;
    let image = group.z;
    let last = params.tokens - 1u;
    let values = image * params.tokens * params.row4 + params.value_offset4 + head * params.head4;
    let base = (image * params.heads + head) * params.tokens * params.stride4;
    let p0 = base + min(query + own.lane, last) * params.stride4;
    let p1 = base + min(query + 8u + own.lane, last) * params.stride4;
    let p2 = base + min(query + 16u + own.lane, last) * params.stride4;
    var a0 = Rows();
    var a1 = Rows();
    var a2 = Rows();
    var b0 = Rows();
    var b1 = Rows();
    var b2 = Rows();
    for (var j = 0u; j < params.stride4; j++) {
        let v = values + min(vec4(j * 4u) + vec4(0u, 1u, 2u, 3u), vec4(last)) * params.row4;
        let a = load(v, element);
        var b = mat4x4<f32>();
        if COLUMNS > 1u { b = load(v, element + 8u); }
        let probs0 = probs[p0 + j];
        multiply(&a0, a, probs0, first);
        if COLUMNS > 1u { multiply(&b0, b, probs0, first); }
        if GROUPS > 1u {
            let probs1 = probs[p1 + j];
            multiply(&a1, a, probs1, first);
            if COLUMNS > 1u { multiply(&b1, b, probs1, first); }
        }
        if GROUPS > 2u {
            let probs2 = probs[p2 + j];
            multiply(&a2, a, probs2, first);
            if COLUMNS > 1u { multiply(&b2, b, probs2, first); }
        }
    }
    let width = params.heads * params.head4;
    let out = (image * params.tokens + query) * width + head * params.head4 + element;
    let rest = params.tokens - query;
    if element < params.head4 {
        store_all(&a0, out, width, rest);
        if GROUPS > 1u { store_all(&a1, out + 8u * width, width, max(rest, 8u) - 8u); }
        if GROUPS > 2u { store_all(&a2, out + 16u * width, width, max(rest, 16u) - 16u); }
    }
    if COLUMNS > 1u && element + 8u < params.head4 {
        store_all(&b0, out + 8u, width, rest);
        if GROUPS > 1u { store_all(&b1, out + 8u + 8u * width, width, max(rest, 8u) - 8u); }
        if GROUPS > 2u { store_all(&b2, out + 8u + 16u * width, width, max(rest, 16u) - 16u); }
    }
}
