// Sums of f32 are stored from cooperative matrices straight to y, or added to it, without a detour through workgroup
// memory. This works neither on Metal, which stores matrices only to arrays of scalars, nor if y is f16;
// shared/sums_staged.wgsl is for these. The shader that imports this also imports shared/cooperative.wgsl and
// shared/epilogue.wgsl.
const DIRECT: bool = true;

// The bias, plus y with ACCUMULATE, as a matrix to add to a matrix of sums. The whole matrix must lie within y.
fn before_direct(row: u32, column4: u32) -> Sum {
    // The stride of 0 makes every row of the matrix the bias.
    var before = coopLoadT<Sum>(&bias[column4], 0u);
    if ACCUMULATE {
        before = before + coopLoadT<Sum>(&y[row * params.columns4 + column4], params.columns4);
    }
    return before;
}

fn store_direct(sum: Sum, row: u32, column4: u32) {
    // Each operand is kept in a variable, because naga does not emit the expressions otherwise.
    let stride = params.columns4;
    let corner = &y[row * stride + column4];
    let result = sum;
    coopStoreT(result, corner, stride);
}
