// Sums that need no conversion go from cooperative matrices to y, or are added to it, without a detour through workgroup
// memory. Not on Metal, whose matrices are stored to scalars only, and not where y is f16: shared/sums_staged.wgsl is the
// other choice. The shader that imports this imports shared/cooperative.wgsl and shared/epilogue.wgsl.
const DIRECT: bool = true;

// All of `sum` must lie within y.
fn store_direct(sum: Sum, row: u32, column4: u32) {
    let stride = params.columns4;
    let at = row * stride + column4;
    // With a stride of 0 every row is the first one.
    var all = sum + coopLoadT<Sum>(&bias[column4], 0u);
    if ACCUMULATE {
        all = all + coopLoadT<Sum>(&y[at], stride);
    }
    // In a variable each, or naga forgets to compute them.
    let corner = &y[at];
    let result = all;
    coopStoreT(result, corner, stride);
}
