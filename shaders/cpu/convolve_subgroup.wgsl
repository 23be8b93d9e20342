// convolve.wgsl for devices with subgroups of at least 8 threads on which loads cost more than arithmetic (llvmpipe). A
// subgroup computes 8, 16 or 24 neighbouring pixels, by two vec4s of output channels for each of its threads. Lane l
// loads the input under a place of the kernel for pixel l, and all lanes read it by a broadcast.
#import embed/convolve_params.wgsl
#import shared/grid.wgsl
#import shared/input.wgsl
#import cpu/weights.wgsl

override RELU: bool = false;
// Pixels of a subgroup, in groups of eight: 1 to 3 groups.
override EIGHTS: u32 = 2u;
// Threads of a workgroup, in whole subgroups.
override THREADS: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;          // [B, C, S, S]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // [columns4]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;    // [B, O, U, U]

// Sums of 8 pixels, with two vec4s of channels each.
alias Tile = array<vec4<f32>, 16>;

// The pixel in column `column` of the line that starts at `line`. It is zero outside the image; `column` wraps left of
// it.
fn pixel(line: u32, column: u32) -> f32 {
    return select(0.0, x[line + min(column, params.side - 1u)], column < params.side);
}

// `own` is the input for this lane's pixel.
fn multiply(tile: ptr<function, Tile>, own: f32, w: Pair) {
    let x0 = subgroupBroadcast(own, 0u);
    (*tile)[0] += x0 * w.a;
    (*tile)[1] += x0 * w.b;
    let x1 = subgroupBroadcast(own, 1u);
    (*tile)[2] += x1 * w.a;
    (*tile)[3] += x1 * w.b;
    let x2 = subgroupBroadcast(own, 2u);
    (*tile)[4] += x2 * w.a;
    (*tile)[5] += x2 * w.b;
    let x3 = subgroupBroadcast(own, 3u);
    (*tile)[6] += x3 * w.a;
    (*tile)[7] += x3 * w.b;
    let x4 = subgroupBroadcast(own, 4u);
    (*tile)[8] += x4 * w.a;
    (*tile)[9] += x4 * w.b;
    let x5 = subgroupBroadcast(own, 5u);
    (*tile)[10] += x5 * w.a;
    (*tile)[11] += x5 * w.b;
    let x6 = subgroupBroadcast(own, 6u);
    (*tile)[12] += x6 * w.a;
    (*tile)[13] += x6 * w.b;
    let x7 = subgroupBroadcast(own, 7u);
    (*tile)[14] += x7 * w.a;
    (*tile)[15] += x7 * w.b;
}

// Where a thread stores: its first channel, the index of its first pixel in that channel, and the number of pixels from
// there to the end of the line.
struct Target {
    channel: u32,
    place: u32,
    rest: u32,
}

fn store_four(out: Target, pixel: u32, offset: u32, sum: vec4<f32>, own_bias: vec4<f32>) {
    if pixel >= out.rest {
        return;
    }
    var value = sum + own_bias;
    if RELU {
        // This is not max, which may lose a NaN.
        value = select(value, vec4(0.0), value < vec4(0.0));
    }
    let area = params.out_side * params.out_side;
    for (var i = 0u; i < 4u; i++) {
        if out.channel + offset + i < params.outputs {
            y[out.place + pixel + (offset + i) * area] = value[i];
        }
    }
}

fn store_two(out: Target, pixel: u32, a: vec4<f32>, b: vec4<f32>, biases: array<vec4<f32>, 2>) {
    store_four(out, pixel, 0u, a, biases[0]);
    store_four(out, pixel, 4u, b, biases[1]);
}

// This is written out for the reason given in linear_subgroup.wgsl.
fn store_pixels(out: Target, first: u32, tile: ptr<function, Tile>, biases: array<vec4<f32>, 2>) {
    store_two(out, first + 0u, (*tile)[0], (*tile)[1], biases);
    store_two(out, first + 1u, (*tile)[2], (*tile)[3], biases);
    store_two(out, first + 2u, (*tile)[4], (*tile)[5], biases);
    store_two(out, first + 3u, (*tile)[6], (*tile)[7], biases);
    store_two(out, first + 4u, (*tile)[8], (*tile)[9], biases);
    store_two(out, first + 5u, (*tile)[10], (*tile)[11], biases);
    store_two(out, first + 6u, (*tile)[12], (*tile)[13], biases);
    store_two(out, first + 7u, (*tile)[14], (*tile)[15], biases);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
    @builtin(subgroup_size) lanes: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let unit = grid_index(group, counts) * subgroups + subgroup;
    let down = (params.columns4 + 2u * lanes - 1u) / (2u * lanes);
    let column = (unit % down * lanes + lane) * 2u;
    let across = (params.out_side + 8u * EIGHTS - 1u) / (8u * EIGHTS);
    let left = unit / down % across * 8u * EIGHTS;
    let top = unit / down / across % params.out_side;
    let image = unit / down / across / params.out_side;
    // The condition is the same for the whole subgroup, so that all of it takes part in the broadcasts below or none of
    // it.
    if image >= params.images {
        return;
    }
    // Channels past the end read the last ones, and are not stored.
    let read = existing(column);
    // Lines above the image, and columns left of it, wrap to numbers past its end.
    let first_line = top * params.stride - params.padding;
    let first = (left + (lane & 7u)) * params.stride - params.padding;
    let step = 8u * params.stride;
    var tile0: Tile;
    var tile1: Tile;
    var tile2: Tile;
    for (var input = 0u; input < params.inputs; input++) {
        let plane = (image * params.inputs + input) * params.side;
        for (var v = 0u; v < params.kernel; v++) {
            if first_line + v >= params.side {
                continue;
            }
            let line = (plane + first_line + v) * params.side;
            let k = (input * params.kernel + v) * params.kernel;
            for (var u = 0u; u < params.kernel; u++) {
                let weights = pair(k + u, read);
                multiply(&tile0, pixel(line, first + u), weights);
                if EIGHTS > 1u {
                    multiply(&tile1, pixel(line, first + u + step), weights);
                }
                if EIGHTS > 2u {
                    multiply(&tile2, pixel(line, first + u + 2u * step), weights);
                }
            }
        }
    }
    let area = params.out_side * params.out_side;
    let channel = column * 4u;
    let out = Target(
        channel,
        (image * params.outputs + channel) * area + top * params.out_side + left,
        params.out_side - left,
    );
    let last = params.columns4 - 1u;
    let biases = array(bias[min(column, last)], bias[min(column + 1u, last)]);
    store_pixels(out, 0u, &tile0, biases);
    if EIGHTS > 1u {
        store_pixels(out, 8u, &tile1, biases);
    }
    if EIGHTS > 2u {
        store_pixels(out, 16u, &tile2, biases);
    }
}
