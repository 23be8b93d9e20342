//! An application with its own device. It renders a texture, which is the input of the network; the logits stay in a
//! buffer on the GPU. Everything between is recorded into the application's own command encoder, with one submission
//! and one read-back at the end.
//!
//! `cargo run --release --example bring_your_device`

use std::path::Path;

use tcvit::{Condensation, Context, Model, SessionOptions};

/// The scene that the application draws, a sky over a sea, with one triangle over the whole target.
const SCENE: &str = include_str!("scene.wgsl");
const SIZE: wgpu::Extent3d = wgpu::Extent3d { width: 640, height: 360, depth_or_array_layers: 1 };

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The application's own device, opened with what tcvit recommends for the adapter.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
    let (device, queue) = pollster::block_on(adapter.request_device(&tcvit::recommended(&adapter)))?;
    let frame = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("frame"),
        size: SIZE,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8UnormSrgb,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::TEXTURE_BINDING,
        view_formats: &[],
    });
    let view = frame.create_view(&wgpu::TextureViewDescriptor::default());
    let scene = scene_pipeline(&device, frame.format());

    // tcvit on the same device.
    let gpu = Context::from_device(device.clone(), queue.clone())?;
    let model = Model::load(&gpu, Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/models/vit_cifar10_32"))?;
    let session = model.session(SessionOptions::new().condense(Condensation::training_free().drop_per_block(5)))?;

    // One encoder: the application renders, tcvit reads the texture and runs the network, and the application copies
    // the logits, here into a buffer that it maps.
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    draw(&mut encoder, &view, &scene);
    session.record_texture_into(&mut encoder, &view, 0)?;
    session.record_into(&mut encoder)?;
    let logits = session.logits_buffer();
    let bytes = model.config().classes as u64 * 4;
    let mapped = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("the application's copy"),
        size: bytes,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    encoder.copy_buffer_to_buffer(logits, 0, &mapped, 0, bytes);
    queue.submit([encoder.finish()]);

    mapped.map_async(wgpu::MapMode::Read, .., |result| result.expect("the application's own buffer maps"));
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let values: Vec<f32> = bytemuck::cast_slice(&mapped.get_mapped_range(..)?).to_vec();
    println!("adapter  {}", gpu.describe());
    println!("frame    {} x {} rendered by the application", SIZE.width, SIZE.height);
    for (label, logit) in model.config().labels.iter().zip(&values) {
        println!("  {logit:7.3}  {label}");
    }
    Ok(())
}

fn draw(encoder: &mut wgpu::CommandEncoder, view: &wgpu::TextureView, pipeline: &wgpu::RenderPipeline) {
    let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        label: Some("scene"),
        color_attachments: &[Some(wgpu::RenderPassColorAttachment {
            view,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::BLACK), store: wgpu::StoreOp::Store },
        })],
        ..Default::default()
    });
    pass.set_pipeline(pipeline);
    pass.draw(0..3, 0..1);
}

fn scene_pipeline(device: &wgpu::Device, format: wgpu::TextureFormat) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("scene"),
        source: wgpu::ShaderSource::Wgsl(SCENE.into()),
    });
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("scene"),
        layout: None,
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("vertex"),
            compilation_options: Default::default(),
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some("fragment"),
            compilation_options: Default::default(),
            targets: &[Some(format.into())],
        }),
        multiview_mask: None,
        cache: None,
    })
}
