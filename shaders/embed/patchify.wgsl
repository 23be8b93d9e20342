// Cuts images into patches, one row each, in the order of a convolution's weight: channel, then y, then x. Rows are
// padded with zeros to a multiple of four, so that the projection reads them as vec4. A thread makes four elements.
#import shared/grid.wgsl
#import shared/output.wgsl

struct Params {
    images: u32,  // B
    channels: u32, // C
    side: u32,    // pixels along an image's side
    patch_side: u32, // pixels along a patch's side
    stride4: u32, // vec4s of a patch row, at least C * patch_side^2 / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pixels: array<f32>;            // [B, C, side, side]
@group(0) @binding(2) var<storage, read_write> patches: array<Output4>; // [B, N, stride4]

fn pixel(image: u32, token: u32, element: u32) -> f32 {
    let area = params.patch_side * params.patch_side;
    if element >= params.channels * area {
        return 0.0;
    }
    let across = params.side / params.patch_side;
    let channel = element / area;
    let y = token / across * params.patch_side + element % area / params.patch_side;
    let x = token % across * params.patch_side + element % params.patch_side;
    return pixels[((image * params.channels + channel) * params.side + y) * params.side + x];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let across = params.side / params.patch_side;
    let tokens = across * across;
    let index = grid_index(group, counts) * 64u + thread;
    if index >= params.images * tokens * params.stride4 {
        return;
    }
    let element = index % params.stride4 * 4u;
    let token = index / params.stride4 % tokens;
    let image = index / params.stride4 / tokens;
    patches[index] = narrow(vec4(
        pixel(image, token, element),
        pixel(image, token, element + 1u),
        pixel(image, token, element + 2u),
        pixel(image, token, element + 3u),
    ));
}
