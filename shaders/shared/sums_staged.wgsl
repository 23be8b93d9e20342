// Sums that are converted on their way to y, or may not be stored to vec4s: shared/sums_direct.wgsl is the other choice.
const DIRECT: bool = false;

fn before_direct(row: u32, column4: u32) -> Sum {
    var nothing: Sum;
    return nothing;
}

fn store_direct(sum: Sum, row: u32, column4: u32) {}
