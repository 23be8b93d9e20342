// Sums that need no conversion go from cooperative matrices to y, or are added to it, without a detour through workgroup
// memory. Not on Metal, whose matrices are stored to scalars only, and not where y is f16: shared/sums_staged.wgsl is the
// other choice. The shader that imports this imports shared/cooperative.wgsl and shared/epilogue.wgsl.
const DIRECT: bool = true;

// What a matrix of sums is added to, all of which must lie within y.
fn before_direct(row: u32, column4: u32) -> Sum {
    // With a stride of 0 every row is the first one.
    var before = coopLoadT<Sum>(&bias[column4], 0u);
    if ACCUMULATE {
        before = before + coopLoadT<Sum>(&y[row * params.columns4 + column4], params.columns4);
    }
    return before;
}

fn store_direct(sum: Sum, row: u32, column4: u32) {
    // In a variable each, or naga forgets to compute them.
    let stride = params.columns4;
    let corner = &y[row * stride + column4];
    let result = sum;
    coopStoreT(result, corner, stride);
}
