// For sums that are converted before they are stored to y, or that cannot be stored to an array of vec4s. DIRECT is
// false, so that these functions are never called. (shared/sums_direct.wgsl is for other sums.)
const DIRECT: bool = false;

fn before_direct(row: u32, column4: u32) -> Sum {
    var nothing: Sum;
    return nothing;
}

fn store_direct(sum: Sum, row: u32, column4: u32) {}
