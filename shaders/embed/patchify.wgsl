// Cuts images into patches, one row each, in the order of a convolution's weight: channel, then y, then x. Rows are
// padded with zeros to a multiple of four, so that the projection can read them as vec4s. A thread writes four
// elements.
#import shared/grid.wgsl
#import shared/output.wgsl

struct Params {
    images: u32,     // B
    channels: u32,   // C
    height: u32,     // pixels down an image
    width: u32,      // pixels across it
    patch_side: u32, // pixels along a patch's side
    stride4: u32,    // vec4s of a patch row, at least C * patch_side^2 / 4
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pixels: array<f32>;            // [B, C, height, width]
@group(0) @binding(2) var<storage, read_write> patches: array<Output4>; // [B, N, stride4]

// The place of an element of a patch row: its channel, and its pixel in the patch.
struct Place {
    channel: u32,
    y: u32, // in the patch
    x: u32,
}

// The place of the next element. It avoids divisions by numbers that are not constant, which would cost more than all
// else here.
fn next(place: Place) -> Place {
    let x = place.x + 1u;
    if x < params.patch_side {
        return Place(place.channel, place.y, x);
    }
    let y = place.y + 1u;
    if y < params.patch_side {
        return Place(place.channel, y, 0u);
    }
    return Place(place.channel + 1u, 0u, 0u);
}

// `corner` is the patch's first pixel in the image's first channel.
fn pixel(corner: u32, place: Place) -> f32 {
    if place.channel >= params.channels {
        return 0.0;
    }
    return pixels[corner + (place.channel * params.height + place.y) * params.width + place.x];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let across = params.width / params.patch_side;
    let tokens = params.height / params.patch_side * across;
    let index = grid_index(group, counts) * 64u + thread;
    if index >= params.images * tokens * params.stride4 {
        return;
    }
    let row = index / params.stride4;
    let element = (index - row * params.stride4) * 4u;
    let image = row / tokens;
    let token = row - image * tokens;
    let down = token / across;
    let corner = (image * params.channels * params.height + down * params.patch_side) * params.width
        + (token - down * across) * params.patch_side;
    let line = element / params.patch_side;
    let channel = line / params.patch_side;
    let first = Place(channel, line - channel * params.patch_side, element - line * params.patch_side);
    let second = next(first);
    let third = next(second);
    let fourth = next(third);
    patches[index] = narrow(vec4(
        pixel(corner, first), pixel(corner, second), pixel(corner, third), pixel(corner, fourth),
    ));
}
