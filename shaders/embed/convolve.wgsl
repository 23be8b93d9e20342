// A convolution of square images that are padded with zeros, with its batch norm folded into w and bias, then ReLU or
// nothing. A thread keeps 8 neighbouring pixels by 2 vec4s of output channels in registers, with no barrier and no
// workgroup memory. Loads are the main cost on llvmpipe: with one pixel and one vec4 for each thread, it ran at 0.15 of
// the speed. With ROW3 (for kernels 3 wide with stride 1), the 10 input pixels under the 8 are loaded once for all
// three columns of the kernel, which is 1.5 times as fast.
#import embed/convolve_params.wgsl
#import shared/grid.wgsl

override RELU: bool = false;
override ROW3: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;          // [B, C, S, S]
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;    // [C, K, K, columns4], zero past `outputs`
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // [columns4]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;    // [B, O, U, U]

// The pixel in column `column` of the line that starts at `line`. It is zero outside the image; `column` wraps left of
// it.
fn pixel(line: u32, column: u32) -> f32 {
    return select(0.0, x[line + min(column, params.side - 1u)], column < params.side);
}

// Stores output channels 4 `channel4` to 4 `channel4` + 3 of one pixel, whose index in the first of them is `at`.
fn store(present: bool, at: u32, channel4: u32, acc: vec4<f32>) {
    if !present {
        return;
    }
    var value = acc + bias[channel4];
    if RELU {
        // This is not max, which may lose a NaN.
        value = select(value, vec4(0.0), value < vec4(0.0));
    }
    let area = params.out_side * params.out_side;
    for (var i = 0u; i < 4u; i++) {
        if channel4 * 4u + i < params.outputs {
            y[at + i * area] = value[i];
        }
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    // Neighbouring threads take neighbouring output channels. A thread's second vec4 lies half of all channels after
    // its first.
    let half = (params.columns4 + 1u) / 2u;
    let across = (params.out_side + 7u) / 8u;
    let index = grid_index(group, counts) * 64u + thread;
    let channel = index % half;
    let left = index / half % across * 8u;
    let top = index / half / across % params.out_side;
    let image = index / half / across / params.out_side;
    if image >= params.images {
        return;
    }
    let second = min(channel + half, params.columns4 - 1u);
    let jump = second - channel;
    var a0 = vec4<f32>(0.0);
    var a1 = vec4<f32>(0.0);
    var a2 = vec4<f32>(0.0);
    var a3 = vec4<f32>(0.0);
    var a4 = vec4<f32>(0.0);
    var a5 = vec4<f32>(0.0);
    var a6 = vec4<f32>(0.0);
    var a7 = vec4<f32>(0.0);
    var b0 = vec4<f32>(0.0);
    var b1 = vec4<f32>(0.0);
    var b2 = vec4<f32>(0.0);
    var b3 = vec4<f32>(0.0);
    var b4 = vec4<f32>(0.0);
    var b5 = vec4<f32>(0.0);
    var b6 = vec4<f32>(0.0);
    var b7 = vec4<f32>(0.0);
    // Lines above the image, and columns left of it, wrap to numbers past its end.
    let first_line = top * params.stride - params.padding;
    let first = left * params.stride - params.padding;
    let s = params.stride;
    for (var input = 0u; input < params.inputs; input++) {
        let plane = (image * params.inputs + input) * params.side;
        for (var v = 0u; v < params.kernel; v++) {
            if first_line + v >= params.side {
                continue;
            }
            let line = (plane + first_line + v) * params.side;
            var at = (input * params.kernel + v) * params.kernel * params.columns4 + channel;
            if ROW3 {
                let p0 = pixel(line, first + 0u);
                let p1 = pixel(line, first + 1u);
                let p2 = pixel(line, first + 2u);
                let p3 = pixel(line, first + 3u);
                let p4 = pixel(line, first + 4u);
                let p5 = pixel(line, first + 5u);
                let p6 = pixel(line, first + 6u);
                let p7 = pixel(line, first + 7u);
                let p8 = pixel(line, first + 8u);
                let p9 = pixel(line, first + 9u);
                let w0 = w[at + 0u * params.columns4];
                let v0 = w[at + jump + 0u * params.columns4];
                let w1 = w[at + 1u * params.columns4];
                let v1 = w[at + jump + 1u * params.columns4];
                let w2 = w[at + 2u * params.columns4];
                let v2 = w[at + jump + 2u * params.columns4];
                a0 += p0 * w0 + p1 * w1 + p2 * w2;
                b0 += p0 * v0 + p1 * v1 + p2 * v2;
                a1 += p1 * w0 + p2 * w1 + p3 * w2;
                b1 += p1 * v0 + p2 * v1 + p3 * v2;
                a2 += p2 * w0 + p3 * w1 + p4 * w2;
                b2 += p2 * v0 + p3 * v1 + p4 * v2;
                a3 += p3 * w0 + p4 * w1 + p5 * w2;
                b3 += p3 * v0 + p4 * v1 + p5 * v2;
                a4 += p4 * w0 + p5 * w1 + p6 * w2;
                b4 += p4 * v0 + p5 * v1 + p6 * v2;
                a5 += p5 * w0 + p6 * w1 + p7 * w2;
                b5 += p5 * v0 + p6 * v1 + p7 * v2;
                a6 += p6 * w0 + p7 * w1 + p8 * w2;
                b6 += p6 * v0 + p7 * v1 + p8 * v2;
                a7 += p7 * w0 + p8 * w1 + p9 * w2;
                b7 += p7 * v0 + p8 * v1 + p9 * v2;
            } else {
                for (var u = 0u; u < params.kernel; u++) {
                    let w0 = w[at];
                    let v0 = w[at + jump];
                    let column = first + u;
                    let p0 = pixel(line, column + 0u * s);
                    a0 += p0 * w0;
                    b0 += p0 * v0;
                    let p1 = pixel(line, column + 1u * s);
                    a1 += p1 * w0;
                    b1 += p1 * v0;
                    let p2 = pixel(line, column + 2u * s);
                    a2 += p2 * w0;
                    b2 += p2 * v0;
                    let p3 = pixel(line, column + 3u * s);
                    a3 += p3 * w0;
                    b3 += p3 * v0;
                    let p4 = pixel(line, column + 4u * s);
                    a4 += p4 * w0;
                    b4 += p4 * v0;
                    let p5 = pixel(line, column + 5u * s);
                    a5 += p5 * w0;
                    b5 += p5 * v0;
                    let p6 = pixel(line, column + 6u * s);
                    a6 += p6 * w0;
                    b6 += p6 * v0;
                    let p7 = pixel(line, column + 7u * s);
                    a7 += p7 * w0;
                    b7 += p7 * v0;
                    at += params.columns4;
                }
            }
        }
    }
    let area = params.out_side * params.out_side;
    let row = (image * params.outputs + channel * 4u) * area + top * params.out_side + left;
    let further = row + jump * 4u * area;
    let rest = params.out_side - left;
    let twice = second == channel + half;
    store(rest > 0u, row + 0u, channel, a0);
    store(rest > 1u, row + 1u, channel, a1);
    store(rest > 2u, row + 2u, channel, a2);
    store(rest > 3u, row + 3u, channel, a3);
    store(rest > 4u, row + 4u, channel, a4);
    store(rest > 5u, row + 5u, channel, a5);
    store(rest > 6u, row + 6u, channel, a6);
    store(rest > 7u, row + 7u, channel, a7);
    store(twice && rest > 0u, further + 0u, second, b0);
    store(twice && rest > 1u, further + 1u, second, b1);
    store(twice && rest > 2u, further + 2u, second, b2);
    store(twice && rest > 3u, further + 3u, second, b3);
    store(twice && rest > 4u, further + 4u, second, b4);
    store(twice && rest > 5u, further + 5u, second, b5);
    store(twice && rest > 6u, further + 6u, second, b6);
    store(twice && rest > 7u, further + 7u, second, b7);
}
