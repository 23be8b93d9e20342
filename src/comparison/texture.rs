//! Comparison of `embed/texture.wgsl`, with both filters and with plain and sRGB views. It also checks that no other
//! image of the batch changes.

use super::{Check, Difference, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::input::{Filter, Preprocess};
use crate::kernels::texture::{KERNEL, record};
use crate::random::Random;
use crate::reference::texture::texture;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "width, height, side",
    sizes: &[&[1, 1, 4], &[7, 5, 16], &[37, 300, 16], &[640, 427, 32]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

const IMAGES: u32 = 3;
/// The rounding of positions to f32 times the slope of the filter, for white noise that is a thousand texels wide.
const TOLERANCE: f64 = 1e-4;

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [width, height, side] = dimensions(size)?;
    let mut random = Random::named("texture", seed);
    let texels: Vec<u8> = (0..width * height * 4).map(|_| random.bits() as u8).collect();
    let encoded: Vec<f32> =
        texels.chunks_exact(4).flat_map(|t| [t[0], t[1], t[2]]).map(|v| f32::from(v) / 255.0).collect();
    let area = 3 * side * side;
    let before = random.tensor(IMAGES as usize * area, 0.0, 1.0);
    let mut worst = Difference::NONE;
    for (slot, crop, filter, format) in [
        (0, 0.9, Filter::Bicubic, wgpu::TextureFormat::Rgba8Unorm),
        (1, 1.0, Filter::Bicubic, wgpu::TextureFormat::Rgba8UnormSrgb),
        (2, 0.5, Filter::Bilinear, wgpu::TextureFormat::Rgba8Unorm),
    ] {
        let preprocess = Preprocess { crop, filter, ..Preprocess::imagenet(side) };
        let params = preprocess.texture_params(width as u32, height as u32, slot, format.is_srgb())?;
        let view = upload_texture(context, &texels, width as u32, height as u32, format)?;
        let pixels = upload(context, "pixels", &before)?;
        execute(context, |recorder| record(recorder, params, &view, &pixels, IMAGES))?;
        let mut expected = before.clone();
        let written = slot as usize * area..(slot as usize + 1) * area;
        expected.splice(written, texture(&encoded, &params));
        let got: Vec<f32> = download_async(context, &pixels, expected.len()).await?;
        worst = worst.worse(Difference::of_floats(&got, &expected, TOLERANCE));
    }
    Ok(worst)
}

/// A view of a new texture that holds `texels` [height, width, 4].
fn upload_texture(
    context: &Context,
    texels: &[u8],
    width: u32,
    height: u32,
    format: wgpu::TextureFormat,
) -> Result<wgpu::TextureView> {
    let size = wgpu::Extent3d { width, height, depth_or_array_layers: 1 };
    context.checked("upload texture", || {
        let texture = context.device().create_texture(&wgpu::TextureDescriptor {
            label: Some("texels"),
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(width * 4), rows_per_image: None };
        context.queue().write_texture(texture.as_image_copy(), texels, layout, size);
        Ok(texture.create_view(&Default::default()))
    })
}
