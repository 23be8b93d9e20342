// Turns a texture that the application rendered into the normalised pixels of one image of a batch. It is resized on
// the short side and cropped to the centre square, as src/input does with a photograph. The filter is evaluated in two
// dimensions at once. When the texture is reduced, the filter is widened by the ratio of the reduction, so that every
// texel counts.
#import shared/grid.wgsl

struct Params {
    side: u32,     // pixels along the network's image
    slot: u32,     // which image of the batch to write
    width: u32,    // texels
    height: u32,   // texels
    scale_x: f32,  // texels per pixel
    scale_y: f32,
    offset_x: f32, // texels left of the part that the crop keeps
    offset_y: f32, // texels above that part
    bicubic: u32,  // 1: cubic convolution with a = -0.5; 0: bilinear
    srgb: u32,     // 1: loading decodes sRGB, so the values are encoded again
    mean_r: f32,
    mean_g: f32,
    mean_b: f32,
    std_r: f32,
    std_g: f32,
    std_b: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var view: texture_2d<f32>;                   // [height, width]
@group(0) @binding(2) var<storage, read_write> pixels: array<f32>; // [B, 3, side, side]

fn weight(distance: f32) -> f32 {
    let x = abs(distance);
    if params.bicubic == 0u {
        return max(1.0 - x, 0.0);
    }
    if x < 1.0 {
        return (1.5 * x - 2.5) * x * x + 1.0;
    }
    return select(0.0, (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5, x < 2.0);
}

fn load(x: u32, y: u32) -> vec3<f32> {
    let colour = textureLoad(view, vec2(x, y), 0).rgb;
    if params.srgb == 0u {
        return colour;
    }
    // Formats that decode sRGB have 8 bits in a channel, so rounding restores the exact byte.
    let curve = 1.055 * pow(max(colour, vec3(0.0)), vec3(1.0 / 2.4)) - 0.055;
    return round(select(curve, colour * 12.92, colour <= vec3(0.0031308)) * 255.0) / 255.0;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let area = params.side * params.side;
    let index = grid_index(group, counts) * 64u + thread;
    if index >= area {
        return;
    }
    // The centre of this pixel in texels, and how far the filter reaches from there.
    let centre_x = (f32(index % params.side) + 0.5) * params.scale_x + params.offset_x;
    let centre_y = (f32(index / params.side) + 0.5) * params.scale_y + params.offset_y;
    let stretch_x = max(params.scale_x, 1.0);
    let stretch_y = max(params.scale_y, 1.0);
    let reach = select(1.0, 2.0, params.bicubic == 1u);
    let left = u32(max(centre_x - reach * stretch_x + 0.5, 0.0));
    let right = min(u32(centre_x + reach * stretch_x + 0.5), params.width);
    let top = u32(max(centre_y - reach * stretch_y + 0.5, 0.0));
    let bottom = min(u32(centre_y + reach * stretch_y + 0.5), params.height);
    var sum = vec3<f32>(0.0);
    var total = 0.0;
    for (var y = top; y < bottom; y++) {
        var row = vec3<f32>(0.0);
        var row_total = 0.0;
        for (var x = left; x < right; x++) {
            let w = weight((f32(x) - centre_x + 0.5) / stretch_x);
            row += w * load(x, y);
            row_total += w;
        }
        // Rows are clamped too, as they are where a photograph is resized to bytes twice, so that overshoot of the
        // first axis does not reach the second.
        let w = weight((f32(y) - centre_y + 0.5) / stretch_y);
        sum += w * clamp(row / row_total, vec3(0.0), vec3(1.0));
        total += w;
    }
    let colour = clamp(sum / total, vec3(0.0), vec3(1.0));
    let first = params.slot * 3u * area + index;
    pixels[first] = (colour.r - params.mean_r) / params.std_r;
    pixels[first + area] = (colour.g - params.mean_g) / params.std_g;
    pixels[first + 2u * area] = (colour.b - params.mean_b) / params.std_b;
}
