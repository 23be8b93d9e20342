// The uniform of the kernels that select tokens by given scores.
struct Params {
    patches: u32, // N, at most 2048
    kept: u32,    // N - R
}
