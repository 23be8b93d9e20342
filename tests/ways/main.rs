//! Lists which pipelines sessions would run on a GPU with cooperative matrices of 16 by 16, without having one: the
//! `noop` backend of wgpu accepts every pipeline and computes nothing. Run with `--nocapture` to see the list.

use std::collections::BTreeSet;

use tcvit::config::PRESETS;
use tcvit::low_level::doctor::checks;
use tcvit::low_level::gpu::{COOPERATIVE, Internals, Precision, Tile, Traits};
use tcvit::{Condensation, Context, LoadOptions, Model, SessionOptions, VitConfig};

/// A device that computes nothing, with `features` and subgroups of `subgroup` threads.
fn device(features: wgpu::Features, subgroup: u32) -> (wgpu::Device, wgpu::Queue) {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::NOOP;
    descriptor.backend_options.noop.enable = true;
    descriptor.backend_options.noop.subgroup_min_size = Some(subgroup);
    descriptor.backend_options.noop.subgroup_max_size = Some(subgroup);
    let instance = wgpu::Instance::new(descriptor);
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::NOOP));
    let adapter = adapters.into_iter().next().expect("the noop backend has an adapter");
    let descriptor = wgpu::DeviceDescriptor {
        required_features: features,
        // SAFETY: no shader is run.
        experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
        required_limits: adapter.limits(),
        ..Default::default()
    };
    pollster::block_on(adapter.request_device(&descriptor)).expect("the noop backend has every feature")
}

/// A context that chooses ways as on one of NVIDIA's data-centre GPUs.
fn data_centre_gpu() -> Context {
    let (device, queue) = device(COOPERATIVE, 32);
    let limits = wgpu::Limits {
        max_compute_invocations_per_workgroup: 1024,
        max_compute_workgroup_size_x: 1024,
        max_compute_workgroup_storage_size: 48 << 10,
        max_storage_buffer_binding_size: 4 << 30,
        max_buffer_size: 64 << 30,
        ..Default::default()
    };
    let traits = Traits::new(&device.adapter_info(), device.features(), limits, Some(Tile::Sixteen), true);
    tcvit::low_level::gpu::rehearsing(device, queue, traits)
}

/// Opens sessions of the preset `name` for batches of 1, 8 and 128: full, and condensed with R from 8 to 16 where the
/// model has enough tokens. Returns the number of sessions.
fn open_sessions(context: &Context, name: &str, precision: Precision) -> usize {
    let config = VitConfig::preset(name).unwrap();
    let model = Model::random_with(context, &config, 1, &LoadOptions::new().precision(precision)).unwrap();
    let mut opened = 0;
    for batch in [1, 8, 128] {
        model.session(SessionOptions::new().batch(batch)).unwrap();
        opened += 1;
        for condensation in [Condensation::paper(), Condensation::training_free()] {
            for drop in (8..=16).filter(|drop| drop * config.depth < config.patches()) {
                let options = SessionOptions::new().batch(batch).condense(condensation.clone().drop_per_block(drop));
                model.session(options).unwrap();
                opened += 1;
            }
        }
    }
    opened
}

#[test]
fn every_pipeline_of_every_preset_is_verified_under_its_own_constants_on_a_16_wide_gpu() {
    let context = data_centre_gpu();
    let mut opened = 0;
    for name in PRESETS {
        for precision in Precision::ALL {
            opened += open_sessions(&context, name, precision);
        }
    }
    let compiled: BTreeSet<String> = context.compiled().iter().map(ToString::to_string).collect();
    let has_ways = |kernel: &str| checks().any(|check| check.kernel.name == kernel && check.kernel.operation.is_some());
    let mut unverified = Vec::new();
    for key in context.compiled() {
        let verdict = context.choices().verdict(&key);
        let is_fallback = context.is_fallback(&key);
        println!("{key}: {}", if verdict == Some(true) { "verified" } else { "runs everywhere" });
        if has_ways(key.kernel()) && verdict != Some(true) && !is_fallback {
            unverified.push(key.to_string());
        }
    }
    assert!(unverified.is_empty(), "pipelines without a verification of the same constants: {unverified:#?}");
    // A pipeline that no sample of its operation runs would never be chosen, and nobody would notice.
    let missed: Vec<String> =
        context.choices().all().into_iter().filter(|(_, found)| found == "wrong").map(|(name, _)| name).collect();
    assert!(missed.is_empty(), "no sample runs these pipelines: {missed:#?}");
    println!("{opened} sessions, {} pipelines", compiled.len());
    // Pipelines of these classes once ran without having been compared.
    for (kernel, constant) in [
        ("attention_cooperative", "SUBGROUPS=6"),
        ("linear_cooperative", "SPLIT=2"),
        ("attention_mean_cooperative", "SUBGROUPS=5"),
    ] {
        assert!(compiled.iter().any(|key| key.starts_with(kernel) && key.contains(constant)), "{kernel} {constant}");
    }
    let split_whole = |key: &&String| key.contains("SPLIT=2") && key.contains("WHOLE=1");
    assert!(compiled.iter().any(|key| split_whole(&key)));
}
