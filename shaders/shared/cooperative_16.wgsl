// Cooperative matrices of 16 by 16, as NVIDIA and AMD have them. (shared/cooperative_8.wgsl is for matrices of 8 by 8.)
// The shader that imports this defines the lengths of `left`, `right` and `sums`, which lie in workgroup memory: LEFT8
// and RIGHT8 count groups of eight f16, SUMS4 counts vec4s of f32. Here matrices are loaded from arrays of vectors, so
// that a thread writes 8 bytes at once.
enable f16;
enable wgpu_cooperative_matrix;

const SIDE: u32 = 16u;
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sum = coop_mat16x16<f32, C>;

struct Eight {
    low: vec4<f16>,
    high: vec4<f16>,
}

// These lengths have names because naga accepts no expression as the length of an array.
override LEFT_LENGTH: u32 = 2u * LEFT8;
override RIGHT_LENGTH: u32 = 2u * RIGHT8;
var<workgroup> left: array<vec4<f16>, LEFT_LENGTH>;
var<workgroup> right: array<vec4<f16>, RIGHT_LENGTH>;
var<workgroup> sums: array<vec4<f32>, SUMS4>;

fn put_left(at8: u32, value: Eight) {
    left[at8 * 2u] = value.low;
    left[at8 * 2u + 1u] = value.high;
}

fn put_right(at8: u32, value: Eight) {
    right[at8 * 2u] = value.low;
    right[at8 * 2u + 1u] = value.high;
}

fn put_left4(at4: u32, value: vec4<f16>) {
    left[at4] = value;
}

fn put_right4(at4: u32, value: vec4<f16>) {
    right[at4] = value;
}

fn load_left(at8: u32, stride8: u32) -> Left {
    return coopLoadT<Left>(&left[at8 * 2u], stride8 * 2u);
}

fn load_right(at8: u32, stride8: u32) -> Right {
    return coopLoadT<Right>(&right[at8 * 2u], stride8 * 2u);
}

// Loads a matrix that lies transposed in `right`: each row in memory is a column of the matrix.
fn load_across(at8: u32, stride8: u32) -> Right {
    return coopLoad<Right>(&right[at8 * 2u], stride8 * 2u);
}

fn put_sum(sum: Sum, at4: u32, stride4: u32) {
    // The pointer is kept in a variable, because naga does not emit the expression otherwise.
    let corner = &sums[at4];
    coopStoreT(sum, corner, stride4);
}

fn load_sum(at4: u32, stride4: u32) -> Sum {
    return coopLoadT<Sum>(&sums[at4], stride4);
}

fn take_sum(at4: u32) -> vec4<f32> {
    return sums[at4];
}
