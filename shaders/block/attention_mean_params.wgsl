// The uniform of the kernels that compute a mean over heads for a range of queries, which is W or dominance.
struct Params {
    tokens: u32,      // T
    prefix: u32,      // E
    heads: u32,       // H
    images: u32,      // B
    query: u32,       // the first query
    queries: u32,     // Q
    row4: u32,        // vec4s from one token of qkv to the next
    key_offset4: u32, // vec4s from a token's queries to its keys
    head4: u32,       // Dh / 4
    scale: f32,       // factor of the dot products
}
