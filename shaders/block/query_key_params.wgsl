// The uniform of the kernels of dot products between queries and keys.
struct Params {
    tokens: u32,      // T, the number of queries and of keys
    heads: u32,       // H
    images: u32,      // B
    row4: u32,        // vec4s from one token of x to the next
    key_offset4: u32, // vec4s from a token's queries to its keys
    head4: u32,       // Dh / 4
    stride: u32,      // elements of a row of y, at least T
    scale: f32,       // factor of the dot products
}
