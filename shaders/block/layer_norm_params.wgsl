// The uniform of the layer-norm kernels.
struct Params {
    rows: u32,
    width4: u32,  // D / 4
    epsilon: f32, // added to the variance
}
