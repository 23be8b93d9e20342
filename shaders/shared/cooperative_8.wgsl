// Cooperative matrices of 8 by 8, as Metal has them, and Mesa's software adapters. (shared/cooperative_16.wgsl is for
// matrices of 16 by 16.) The shader that imports this defines the lengths of `left`, `right` and `sums`, which lie in
// workgroup memory: LEFT8 and RIGHT8 count groups of eight f16, SUMS4 counts groups of four f32. Here matrices are
// loaded from arrays of scalars, because Metal accepts nothing else.
enable f16;
enable wgpu_cooperative_matrix;

const SIDE: u32 = 8u;
alias Left = coop_mat8x8<f16, A>;
alias Right = coop_mat8x8<f16, B>;
alias Sum = coop_mat8x8<f32, C>;

struct Eight {
    low: vec4<f16>,
    high: vec4<f16>,
}

// These lengths have names because naga accepts no expression as the length of an array.
override LEFT_LENGTH: u32 = 8u * LEFT8;
override RIGHT_LENGTH: u32 = 8u * RIGHT8;
override SUMS_LENGTH: u32 = 4u * SUMS4;
var<workgroup> left: array<f16, LEFT_LENGTH>;
var<workgroup> right: array<f16, RIGHT_LENGTH>;
var<workgroup> sums: array<f32, SUMS_LENGTH>;

fn put_left(at8: u32, value: Eight) {
    let at = at8 * 8u;
    left[at + 0u] = value.low.x;
    left[at + 1u] = value.low.y;
    left[at + 2u] = value.low.z;
    left[at + 3u] = value.low.w;
    left[at + 4u] = value.high.x;
    left[at + 5u] = value.high.y;
    left[at + 6u] = value.high.z;
    left[at + 7u] = value.high.w;
}

fn put_right(at8: u32, value: Eight) {
    let at = at8 * 8u;
    right[at + 0u] = value.low.x;
    right[at + 1u] = value.low.y;
    right[at + 2u] = value.low.z;
    right[at + 3u] = value.low.w;
    right[at + 4u] = value.high.x;
    right[at + 5u] = value.high.y;
    right[at + 6u] = value.high.z;
    right[at + 7u] = value.high.w;
}

fn put_left4(at4: u32, value: vec4<f16>) {
    let at = at4 * 4u;
    left[at + 0u] = value.x;
    left[at + 1u] = value.y;
    left[at + 2u] = value.z;
    left[at + 3u] = value.w;
}

fn put_right4(at4: u32, value: vec4<f16>) {
    let at = at4 * 4u;
    right[at + 0u] = value.x;
    right[at + 1u] = value.y;
    right[at + 2u] = value.z;
    right[at + 3u] = value.w;
}

fn load_left(at8: u32, stride8: u32) -> Left {
    return coopLoadT<Left>(&left[at8 * 8u], stride8 * 8u);
}

fn load_right(at8: u32, stride8: u32) -> Right {
    return coopLoadT<Right>(&right[at8 * 8u], stride8 * 8u);
}

// Loads a matrix that lies transposed in `right`: each row in memory is a column of the matrix.
fn load_across(at8: u32, stride8: u32) -> Right {
    return coopLoad<Right>(&right[at8 * 8u], stride8 * 8u);
}

fn put_sum(sum: Sum, at4: u32, stride4: u32) {
    // The pointer and the stride are kept in variables, because naga does not emit the expressions otherwise.
    let corner = &sums[at4 * 4u];
    let stride = stride4 * 4u;
    coopStoreT(sum, corner, stride);
}

fn load_sum(at4: u32, stride4: u32) -> Sum {
    return coopLoadT<Sum>(&sums[at4 * 4u], stride4 * 4u);
}

fn take_sum(at4: u32) -> vec4<f32> {
    let at = at4 * 4u;
    return vec4(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]);
}
