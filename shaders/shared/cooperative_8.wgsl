// Cooperative matrices of 8 by 8: Metal's, and those of Mesa on a CPU. (shared/cooperative_16.wgsl is the other choice.)
// `left` and `right` are slabs of x and w in workgroup memory, addressed by fours; matrices here are loaded from scalars,
// which is all that Metal takes.
enable f16;
enable wgpu_cooperative_matrix;

const SIDE: u32 = 8u;
alias Left = coop_mat8x8<f16, A>;
alias Right = coop_mat8x8<f16, B>;
alias Sum = coop_mat8x8<f32, C>;

var<workgroup> left: array<f16, 1024>; // [64, 8 + 8] or [32, 16 + 8]
var<workgroup> right: array<f16, 640>; // [8, 64 + 8] or [16, 32 + 8]

fn put_left(at4: u32, value: vec4<f16>) {
    left[at4 * 4u + 0u] = value.x;
    left[at4 * 4u + 1u] = value.y;
    left[at4 * 4u + 2u] = value.z;
    left[at4 * 4u + 3u] = value.w;
}

fn put_right(at4: u32, value: vec4<f16>) {
    right[at4 * 4u + 0u] = value.x;
    right[at4 * 4u + 1u] = value.y;
    right[at4 * 4u + 2u] = value.z;
    right[at4 * 4u + 3u] = value.w;
}

fn load_left(at4: u32, stride4: u32) -> Left {
    return coopLoadT<Left>(&left[at4 * 4u], stride4 * 4u);
}

fn load_right(at4: u32, stride4: u32) -> Right {
    return coopLoadT<Right>(&right[at4 * 4u], stride4 * 4u);
}
