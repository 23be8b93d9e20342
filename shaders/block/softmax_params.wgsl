// The uniform of the softmax kernels.
struct Params {
    rows: u32,
    columns: u32, // elements of a row that take part
    stride: u32,  // elements from one row to the next, at least `columns`
    scale: f32,   // factor before the exponential
}
