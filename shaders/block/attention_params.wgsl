// The uniform of the attention kernels.
struct Params {
    tokens: u32,        // T
    heads: u32,         // H
    images: u32,        // B
    row4: u32,          // vec4s from one token of qkv to the next
    key_offset4: u32,   // vec4s from a token's queries to its keys
    value_offset4: u32, // vec4s from a token's queries to its values
    head4: u32,         // Dh / 4
    scale: f32,         // factor of the dot products
}
