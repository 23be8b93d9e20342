// The uniform of both kernels that select tokens.
struct Params {
    patches: u32, // N, at most 2048
    kept: u32,    // N - R
}
