//! Measures the memory that loading takes. The file is mapped and its tensors go to the device one by one, so the peak
//! stays below 1.3 times the file. Tests here must run one at a time, since a process has only one peak.
#![cfg(target_os = "linux")]

mod support;

use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::{Map, json};
use tcvit::low_level::random::Random;
use tcvit::{Model, Precision, VitConfig};

/// A field of the kernel's status of this process, in bytes.
fn status(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn tensors(config: &VitConfig) -> Vec<(String, Vec<usize>)> {
    let (d, f, p) = (config.width, config.mlp, config.patch);
    let mut all = vec![
        ("cls_token".to_owned(), vec![1, 1, d]),
        ("pos_embed".to_owned(), vec![1, config.patches() + 1, d]),
        ("patch_embed.proj.weight".to_owned(), vec![d, 3, p, p]),
        ("patch_embed.proj.bias".to_owned(), vec![d]),
    ];
    for block in 0..config.depth {
        let mut add = |layer: &str, shape: &[usize]| all.push((format!("blocks.{block}.{layer}"), shape.to_vec()));
        for norm in ["norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"] {
            add(norm, &[d]);
        }
        for (layer, columns, inner) in
            [("attn.qkv", 3 * d, d), ("attn.proj", d, d), ("mlp.fc1", f, d), ("mlp.fc2", d, f)]
        {
            add(&format!("{layer}.weight"), &[columns, inner]);
            add(&format!("{layer}.bias"), &[columns]);
        }
    }
    all.extend(["norm.weight", "norm.bias"].map(|name| (name.to_owned(), vec![d])));
    all.push(("head.weight".to_owned(), vec![config.classes, d]));
    all.push(("head.bias".to_owned(), vec![config.classes]));
    all
}

/// Writes a checkpoint of random f32 values, tensor by tensor so that this process stays small. Returns the file's
/// bytes.
fn write(path: &Path, config: &VitConfig) -> u64 {
    let tensors = tensors(config);
    let (mut header, mut end) = (Map::new(), 0);
    for (name, shape) in &tensors {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        header.insert(name.clone(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] }));
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut file = BufWriter::new(std::fs::File::create(path).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    for (name, shape) in &tensors {
        let values = Random::named(name, 1).tensor(shape.iter().product(), 0.0, 0.05);
        file.write_all(bytemuck::cast_slice(&values)).unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
    std::fs::metadata(path).unwrap().len()
}

/// Loads a model of this preset and checks the memory that it took until all of it had arrived on the device.
fn check(preset: &str) {
    const MIB: f64 = (1 << 20) as f64;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let file = write(&path, &VitConfig::preset(preset).unwrap());
    let gpu = support::gpu();
    // Writing 5 resets the peak to the present size.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");
    let start = std::time::Instant::now();
    let model = Model::load_with(gpu, &path, &support::stored_in(Precision::F32)).unwrap();
    // Memory that wgpu holds beyond the weights, which are f32 here as in the file: staging copies.
    let staged = gpu.device().generate_allocator_report().unwrap().total_allocated_bytes.saturating_sub(file);
    gpu.queue().submit([]);
    gpu.wait("load").unwrap();
    let (highest, seconds) = (status("VmHWM"), start.elapsed().as_secs_f64());
    assert_eq!(model.config().width, VitConfig::preset(preset).unwrap().width);
    // On a software adapter, the weights on the device are in this process's memory too.
    let weights = if gpu.info().device_type == wgpu::DeviceType::Cpu { file } else { 0 };
    let host = highest - before - weights;
    println!(
        "{preset}: file {:.0} MiB, resident before {:.0}, highest {:.0}, without weights and what was before {:.0} \
         ({:.2} of the file); copies left at the end {:.0} ({:.2}); {seconds:.1} s",
        file as f64 / MIB,
        before as f64 / MIB,
        highest as f64 / MIB,
        host as f64 / MIB,
        host as f64 / file as f64,
        staged as f64 / MIB,
        staged as f64 / file as f64,
    );
    assert!(host as f64 <= 1.3 * file as f64, "{host} bytes for a file of {file}");
    assert!(staged as f64 <= 0.3 * file as f64, "{staged} bytes of copies are left of a file of {file}");
}

#[test]
fn loading_takes_little_more_than_the_file() {
    check("deit_small");
}

/// `cargo test --test load_memory -- --ignored --nocapture`
#[test]
#[ignore = "writes and loads 350 MB"]
fn loading_a_base_model_takes_little_more_than_the_file() {
    check("deit_base");
}
