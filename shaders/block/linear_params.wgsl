// The uniform of the kernels of dense layers.
struct Params {
    rows: u32,     // M
    inner4: u32,   // K / 4
    columns4: u32, // columns / 4, rounded up
}
