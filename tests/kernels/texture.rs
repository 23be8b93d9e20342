use tcvit::low_level::gpu::Recorder;
use tcvit::low_level::input::{Filter, Preprocess, open_image};
use tcvit::low_level::kernels::texture::record;

use crate::{buffer, gpu, read, run, sweep};

#[test]
fn agrees_at_every_small_size() {
    sweep("texture", (1..=9).flat_map(|width| (1..=9).map(move |height| [width, height, 1 + (width * height) % 11])));
}

#[test]
fn agrees_at_real_sizes_and_extreme_shapes() {
    sweep("texture", [[1, 500, 8], [500, 1, 8], [1000, 37, 16], [37, 1000, 16], [640, 427, 33], [63, 65, 64]]);
    sweep("texture", [[16, 16, 16], [31, 33, 32], [300, 224, 96]]);
}

/// The pixels that the kernel computes from a photograph in a texture of `format`, as image 1 of a batch of 2.
fn pixels_on_gpu(preprocess: &Preprocess, photo: &image::RgbImage, format: wgpu::TextureFormat) -> Vec<f32> {
    let (gpu, (width, height)) = (gpu(), photo.dimensions());
    let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
    let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: None,
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    let texels: Vec<u8> = photo.pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect();
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(width * 4), rows_per_image: None };
    gpu.queue().write_texture(texture.as_image_copy(), &texels, layout, size);
    let area = 3 * preprocess.side * preprocess.side;
    let pixels = buffer(&vec![0.0f32; 2 * area]);
    let params = preprocess.texture_params(width, height, 1, format.is_srgb()).unwrap();
    run(|recorder| record(recorder, params, &texture.create_view(&Default::default()), &pixels, 2));
    read::<f32>(&pixels, 2 * area).split_off(area)
}

/// The largest difference between pixels, in units of a byte.
fn bytes_apart(preprocess: &Preprocess, a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let area = preprocess.side * preprocess.side;
    let apart = |(index, (a, b)): (usize, (&f32, &f32))| (a - b).abs() * preprocess.std[index / area] * 255.0;
    a.iter().zip(b).enumerate().map(apart).fold(0.0, |most: f32, one| if one <= most { most } else { one })
}

#[test]
fn a_photograph_gives_the_pixels_that_the_processor_gives() {
    let photo = open_image("crates/cli/assets/photos/coffee.jpg".as_ref()).unwrap();
    let formats = [wgpu::TextureFormat::Rgba8Unorm, wgpu::TextureFormat::Rgba8UnormSrgb];
    for (side, crop, filter) in [(224, 0.9, Filter::Bicubic), (32, 1.0, Filter::Bicubic), (96, 0.875, Filter::Bilinear)]
    {
        let preprocess = Preprocess { crop, filter, ..Preprocess::imagenet(side) };
        let expected = preprocess.pixels(&photo).unwrap();
        for format in formats {
            let apart = bytes_apart(&preprocess, &pixels_on_gpu(&preprocess, &photo, format), &expected);
            println!("{side} {filter} {format:?}: {apart}");
            // The processor rounds to bytes twice: the first error, half a byte, may grow in the second pass, which
            // adds another half.
            assert!(apart <= 1.2, "{side} {filter} {format:?}: {apart} / 255 apart");
        }
    }
    // Also tests that the comparison notices an image shifted by one pixel. A decoded gamma that is not undone would
    // show, too.
    let preprocess = Preprocess::imagenet(224);
    let expected = preprocess.pixels(&photo).unwrap();
    let mut shifted = pixels_on_gpu(&preprocess, &photo, formats[0]);
    shifted.rotate_right(1);
    assert!(bytes_apart(&preprocess, &shifted, &expected) > 20.0);
}

#[test]
fn what_does_not_fit_is_refused() {
    let gpu = gpu();
    let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d { width: 8, height: 4, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::TEXTURE_BINDING,
        view_formats: &[],
    });
    let view = texture.create_view(&Default::default());
    let preprocess = Preprocess::imagenet(4);
    let pixels = buffer(&[0.0f32; 2 * 48]);
    let try_record = |width, height, slot, images| {
        let params = preprocess.texture_params(width, height, slot, false)?;
        record(&mut Recorder::new(gpu), params, &view, &pixels, images)
    };
    assert!(try_record(8, 4, 1, 2).is_ok());
    for (size, part) in [
        ((8, 4, 2, 2), "a slot below 2, got 2"),
        ((8, 5, 0, 2), "at least 8 x 5, got 8 x 4"),
        ((8, 4, 0, 3), "texture: pixels"),
        ((0, 4, 0, 2), "1 to 65535 pixels along each side, got 0 x 4"),
    ] {
        let error = try_record(size.0, size.1, size.2, size.3).unwrap_err().to_string();
        assert!(error.contains(part), "{size:?}: {error}");
    }
    let lanczos = Preprocess { filter: Filter::Lanczos, ..preprocess.clone() };
    let error = lanczos.texture_params(8, 4, 0, false).unwrap_err().to_string();
    assert!(error.contains("bicubic or bilinear") && error.contains("got lanczos"), "{error}");
}
