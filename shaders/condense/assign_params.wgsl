// The uniform of the kernels that assign dropped tokens.
struct Params {
    patches: u32, // N
    dropped: u32, // R
    ratio: f32,   // a / s, s = max(a, 1)
    inverse: f32, // 1 / s
    stride: u32,  // elements from one row to the next
    shift: u32,   // elements before a row's first column
}
