// Cuts images into patches, one row each, in the order of a convolution's weight: channel, then y, then x. Rows are
// padded with zeros to a multiple of four, so that the projection reads them as vec4.
#import shared/grid.wgsl

struct Params {
    images: u32,  // B
    channels: u32, // C
    side: u32,    // pixels along an image's side
    patch_side: u32, // pixels along a patch's side
    stride: u32,  // elements of a patch row, at least C * patch_side^2
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pixels: array<f32>;        // [B, C, side, side]
@group(0) @binding(2) var<storage, read_write> patches: array<f32>; // [B, N, stride]

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let across = params.side / params.patch_side;
    let tokens = across * across;
    let index = grid_index(group, counts) * 64u + thread;
    if index >= params.images * tokens * params.stride {
        return;
    }
    let element = index % params.stride;
    let token = index / params.stride % tokens;
    let image = index / params.stride / tokens;
    let area = params.patch_side * params.patch_side;
    var value = 0.0;
    if element < params.channels * area {
        let channel = element / area;
        let y = token / across * params.patch_side + element % area / params.patch_side;
        let x = token % across * params.patch_side + element % params.patch_side;
        value = pixels[((image * params.channels + channel) * params.side + y) * params.side + x];
    }
    patches[index] = value;
}
