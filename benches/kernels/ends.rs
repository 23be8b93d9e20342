//! The kernels before the first block and after the last.

use tcvit::low_level::gpu::{Home, Placed, Precision};
use tcvit::low_level::input::Preprocess;
use tcvit::low_level::kernels::{assemble, convolve, patchify, pool, texture, token_max};

use crate::{Bench, WIDTH};

/// Times the kernels of the ends for one image with `tokens` tokens, one of them the class token.
pub fn ends(bench: &mut Bench<'_>, tokens: usize) {
    let (patches, patch, classes) = (tokens - 1, 16, 1000);
    let width4 = (WIDTH / 4) as u32;
    // The side of the largest square with at most `patches` patches.
    let side = patches.isqrt();
    let stride = 3 * patch * patch;
    let (pixels, cut) = (bench.floats(side * side * stride), bench.output(side * side * stride));
    bench.run("patchify", tokens, side * side * stride, |recorder| {
        let params = patchify::Params {
            images: 1,
            channels: 3,
            height: (side * patch) as u32,
            width: (side * patch) as u32,
            patch_side: patch as u32,
            stride4: (stride / 4) as u32,
        };
        patchify::record(recorder, Precision::F32, params, patchify::Bindings { pixels: &pixels, patches: &cut })
    });
    let (x, sizes) = (bench.floats(tokens * WIDTH), bench.floats(tokens));
    let (out, own_sizes) = (bench.output(tokens * WIDTH), bench.output(tokens));
    bench.run("assemble", tokens, tokens * WIDTH, |recorder| {
        let params = assemble::Params { images: 1, prefix: 1, patches: patches as u32, width4 };
        let bindings = assemble::Bindings { projected: &x, prefix: &x, position: &x, tokens: &out, sizes: &own_sizes };
        assemble::record(recorder, params, bindings)
    });
    bench.run("pool", tokens, tokens * WIDTH, |recorder| {
        let params = pool::Params { tokens: tokens as u32, prefix: 1, width4, first: 0, mean: 1 };
        pool::record(recorder, params, 1, pool::Bindings { x: &x, sizes: &sizes, pooled: &out })
    });
    let (x, y) = (bench.floats(tokens * classes), bench.output(classes));
    bench.run("token_max", tokens, tokens * classes, |recorder| {
        let params =
            token_max::Params { images: 1, tokens: tokens as u32, prefix: 1, classes: classes as u32, share: 0.5 };
        token_max::record(recorder, params, token_max::Bindings { x: &x, y: &y })
    });
}

/// The second convolution of LV-ViT's stem, in every way, for networks of each precision.
pub fn stem(bench: &mut Bench<'_>) {
    let (channels, side) = (64, 112);
    let window = convolve::Window { kernel: 3, stride: 1, padding: 1 };
    let (x, y) = (bench.floats(channels * side * side), bench.output(channels * side * side));
    let bias = bench.floats(channels);
    let params = convolve::Params::new(1, [channels, channels], side, window);
    let numbers: Vec<f32> = (0..channels * channels * 9).map(|i| (i % 31) as f32 / 31.0 - 0.5).collect();
    let mut timed = Vec::new();
    for (precision, home) in Precision::ALL.into_iter().flat_map(|precision| Home::ALL.map(|home| (precision, home))) {
        let call = convolve::Call { params, relu: true, precision, home };
        let texels = convolve::texels(channels * 9, channels);
        let w = Placed::upload(&bench.gpu, "w", &numbers, texels, home).expect("weights");
        for way in bench.ways(&call) {
            // A way that takes both precisions runs the same kernel for both, and is timed once.
            if timed.contains(&(way.name, home)) {
                continue;
            }
            timed.push((way.name, home));
            let name = format!("convolve {}{}", way.name, if home == Home::Texture { ", texture" } else { "" });
            bench.run(&name, side * side, side * side * channels * channels * 9, |recorder| {
                convolve::record(recorder, way, call, convolve::Bindings { x: &x, w: w.matrix(), bias: &bias, y: &y })
            });
        }
    }
}

/// Times the kernel that reads a texture of 640 x 480.
pub fn texture(bench: &mut Bench<'_>) {
    let side = 224;
    let preprocess = Preprocess::imagenet(side);
    let params = preprocess.texture_params(640, 480, 0, false).expect("a size");
    let view = bench
        .gpu
        .device()
        .create_texture(&wgpu::TextureDescriptor {
            label: Some("bench"),
            size: wgpu::Extent3d { width: 640, height: 480, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage: wgpu::TextureUsages::TEXTURE_BINDING,
            view_formats: &[],
        })
        .create_view(&Default::default());
    let elements = 3 * side * side;
    let pixels = bench.output(elements);
    bench.run("texture", side, elements, |recorder| texture::record(recorder, params, &view, &pixels, 1));
}
