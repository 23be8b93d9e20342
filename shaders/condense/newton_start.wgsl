// The start of Newton's iteration (eq. 10): A = I - a W and X0 = diag(A)^-1.
#import shared/grid.wgsl

struct Params {
    images: u32,  // B
    patches: u32, // N
    alpha: f32,   // a
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;           // [B, N, N]
@group(0) @binding(2) var<storage, read_write> a: array<f32>;     // [B, N, N]
@group(0) @binding(3) var<storage, read_write> start: array<f32>; // [B, N, N]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let n = params.patches;
    let at = grid_index(group, counts) * 64u + thread;
    if at >= params.images * n * n {
        return;
    }
    let element = at % (n * n);
    let diagonal = element / n == element % n;
    let value = select(0.0, 1.0, diagonal) - params.alpha * w[at];
    a[at] = value;
    start[at] = select(0.0, 1.0 / value, diagonal);
}
