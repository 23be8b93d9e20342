// The uniform of the kernels that multiply probabilities by values.
struct Params {
    tokens: u32,        // T
    heads: u32,         // H
    stride4: u32,       // vec4s of a row of probs
    row4: u32,          // vec4s from one token of qkv to the next
    value_offset4: u32, // vec4s from a token's queries to its values
    head4: u32,         // Dh / 4
}
