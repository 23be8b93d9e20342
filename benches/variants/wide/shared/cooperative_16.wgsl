// Cooperative matrices of 16 by 16: those of NVIDIA and AMD. (shared/cooperative_8.wgsl is the other choice.) The shader
// that imports this says how long `left`, `right` and `sums` are, in workgroup memory: operands addressed by eights, sums
// by fours. Operands lie in matrices of two columns, the only 16 bytes of f16 that WGSL can move at once.
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

var<workgroup> left: array<mat2x4<f16>, LEFT8>;
var<workgroup> right: array<mat2x4<f16>, RIGHT8>;
var<workgroup> sums: array<vec4<f32>, SUMS4>;

fn put_left(at8: u32, value: Eight) {
    left[at8] = mat2x4(value.low, value.high);
}

fn put_right(at8: u32, value: Eight) {
    right[at8] = mat2x4(value.low, value.high);
}

fn put_left4(at4: u32, value: vec4<f16>) {
    left[at4 / 2u][at4 % 2u] = value;
}

fn put_left8(at8: u32, value: mat2x4<f16>) {
    left[at8] = value;
}

fn put_right4(at4: u32, value: vec4<f16>) {
    right[at4 / 2u][at4 % 2u] = value;
}

fn put_right8(at8: u32, value: mat2x4<f16>) {
    right[at8] = value;
}

fn load_left(at8: u32, stride8: u32) -> Left {
    return coopLoadT<Left>(&left[at8][0], stride8 * 2u);
}

fn load_right(at8: u32, stride8: u32) -> Right {
    return coopLoadT<Right>(&right[at8][0], stride8 * 2u);
}

// Of what lies transposed: a column in each row.
fn load_across(at8: u32, stride8: u32) -> Right {
    return coopLoad<Right>(&right[at8][0], stride8 * 2u);
}

fn put_sum(sum: Sum, at4: u32, stride4: u32) {
    // In a variable, or naga forgets to compute it.
    let corner = &sums[at4];
    coopStoreT(sum, corner, stride4);
}

fn take_sum(at4: u32) -> vec4<f32> {
    return sums[at4];
}
