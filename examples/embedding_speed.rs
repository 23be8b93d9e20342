//! Measures how much the features of an application's own device matter: the time of one image of DeiT-Tiny on devices
//! that were opened with different features, in turns.
//!
//! `cargo run --release --example embedding_speed [ROUNDS]`

use tcvit::timing::{Distribution, Rounds, in_turns};
use tcvit::wgpu::{self, Features};
use tcvit::{Context, ContextOptions, Model, Session, SessionOptions, VitConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds = std::env::args().nth(1).map_or(Ok(9), |text| text.parse())?;
    let config = VitConfig::preset("deit_tiny")?;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
    let asking = |features: Features| wgpu::DeviceDescriptor {
        required_features: adapter.features() & features,
        ..wgpu::DeviceDescriptor::default()
    };
    let recommended = tcvit::recommended(&adapter);
    println!("{}: {:?}", adapter.get_info().name, recommended.required_features);
    let descriptors = [
        ("no feature", asking(Features::empty())),
        ("all of WebGPU's features", asking(Features::all_webgpu_mask())),
        ("SUBGROUP", asking(Features::SUBGROUP)),
        ("SUBGROUP and SHADER_F16", asking(Features::SUBGROUP | Features::SHADER_F16)),
        ("tcvit::recommended", recommended),
    ];
    let mut sessions: Vec<(&str, Session)> = Vec::new();
    for (name, descriptor) in descriptors {
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))?;
        sessions.push((name, session(&Context::from_device(device, queue)?, &config)?));
    }
    sessions.push(("Context::open", session(&Context::open(ContextOptions::new())?, &config)?));

    let pixels = vec![0.5; config.pixels()];
    let rounds = Rounds { warm_up: 2, ..Rounds::exactly(rounds) };
    let seconds = in_turns(&sessions, rounds, |(_, session)| session.logits(&pixels).map(|_| ()))?;
    for ((name, session), seconds) in sessions.iter().zip(&seconds) {
        let median = Distribution::of(seconds).median() * 1e3;
        println!("{median:8.1} ms  {name} ({})", session.model().precision());
    }
    Ok(())
}

fn session(gpu: &Context, config: &VitConfig) -> tcvit::Result<Session> {
    Model::random(gpu, config, 1)?.session(SessionOptions::new())
}
