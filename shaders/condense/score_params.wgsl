// The uniform of the score kernels.
struct Params {
    patches: u32, // N, at most 2048
    kept: u32,    // N - R
    strips: u32,  // rows of column_sums, with ORDER 1 and 2
    beta: f32,    // b
    scale: f32,   // the true c is scale * c
    ratio: f32,   // a / s, s = max(a, 1)
    inverse: f32, // 1 / s
    stride: u32,  // elements from one row of W, or of column_sums, to the next
    shift: u32,   // elements before a row's first column
}
