// The uniform of the mean-key kernels.
struct Params {
    images: u32,      // B
    tokens: u32,      // T
    prefix: u32,      // E
    heads: u32,       // H
    row4: u32,        // vec4s from one token of qkv to the next
    key_offset4: u32, // vec4s from a token's queries to its keys
    head4: u32,       // Dh / 4
}
