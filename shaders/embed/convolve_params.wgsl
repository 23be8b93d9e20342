// The uniform of the convolution kernels.
struct Params {
    images: u32,   // B
    inputs: u32,   // C
    outputs: u32,  // O
    columns4: u32, // vec4s in a row of w: O / 4, rounded up
    side: u32,     // S, pixels along an input's side
    kernel: u32,   // K, pixels along the kernel's side
    stride: u32,
    padding: u32,  // zeros on each side
    out_side: u32, // U = (S + 2 padding - K) / stride + 1
}
