// Cooperative matrices of 16 by 16: those of NVIDIA and AMD. (shared/cooperative_8.wgsl is the other choice.) `left` and
// `right` are slabs of x and w in workgroup memory, addressed by fours; matrices here are loaded from vectors, so that
// threads write four numbers at once.
enable f16;
enable wgpu_cooperative_matrix;

const SIDE: u32 = 16u;
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sum = coop_mat16x16<f32, C>;

var<workgroup> left: array<vec4<f16>, 768>;  // [128, (16 + 8)/4] or [64, (32 + 8)/4]
var<workgroup> right: array<vec4<f16>, 576>; // [16, (128 + 8)/4] or [32, (64 + 8)/4]

fn put_left(at4: u32, value: vec4<f16>) {
    left[at4] = value;
}

fn put_right(at4: u32, value: vec4<f16>) {
    right[at4] = value;
}

fn load_left(at4: u32, stride4: u32) -> Left {
    return coopLoadT<Left>(&left[at4], stride4);
}

fn load_right(at4: u32, stride4: u32) -> Right {
    return coopLoadT<Right>(&right[at4], stride4);
}
