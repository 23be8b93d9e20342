//! The files that are kept on disk: they are whole or absent, belong to one adapter, and never cause a failure.

mod support;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tcvit::low_level::gpu::{Internals, Store};
use tcvit::{Context, ContextOptions, Keep, Model, Precision, SessionOptions};

use support::small::{config, pixels};

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
struct Tiles {
    rows: u32,
    times: Vec<f64>,
}

fn tiles(rows: u32) -> Tiles {
    Tiles { rows, times: vec![0.1; 2000] }
}

fn info() -> wgpu::AdapterInfo {
    support::gpu().info().clone()
}

fn store(folder: &Path) -> Store {
    Store::open(&Keep::In(folder.to_owned()), &info())
}

fn context(keep: Keep) -> Context {
    Context::open(ContextOptions::new().keep(keep)).unwrap()
}

fn logits(context: &Context) -> Vec<f32> {
    // In f32, which every device supports.
    let model = Model::random_with(context, &config(), 3, &support::stored_in(Precision::F32)).unwrap();
    model.session(SessionOptions::new()).unwrap().logits(&pixels(&config(), 1, 1)).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

#[test]
fn documents_come_back_and_others_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let kept = store(folder.path());
    assert_eq!(kept.read::<Tiles>("tiles"), None);
    assert!(kept.write("tiles", &tiles(1)) && kept.write("tiles", &tiles(2)) && kept.write("../tiles", &tiles(3)));
    let again = store(folder.path());
    assert_eq!((again.read("tiles"), again.read("../tiles")), (Some(tiles(2)), Some(tiles(3))));
    // A document of another type is not read.
    assert_eq!(again.read::<Vec<u32>>("tiles"), None);
    // The folder holds both documents and nothing else.
    assert_eq!(files(folder.path()).len(), 2);
    assert!(files(folder.path()).iter().all(|file| file.parent() == kept.folder()));
    // Another driver or adapter has its own documents.
    for change in [
        |info: &mut wgpu::AdapterInfo| info.driver_info.push('2'),
        |info: &mut wgpu::AdapterInfo| info.name.push('2'),
        |info: &mut wgpu::AdapterInfo| info.device += 1,
    ] {
        let mut other = info();
        change(&mut other);
        assert_eq!(Store::open(&Keep::In(folder.path().to_owned()), &other).read::<Tiles>("tiles"), None);
    }
}

#[test]
fn damaged_documents_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let kept = store(folder.path());
    kept.write("tiles", &tiles(1));
    let file = files(folder.path()).remove(0);
    let bytes = std::fs::read(&file).unwrap();
    for damaged in [&bytes[..bytes.len() / 2], b"", b"\xff\xfe", b"[]"] {
        std::fs::write(&file, damaged).unwrap();
        assert_eq!(kept.read::<Tiles>("tiles"), None);
    }
    assert!(kept.write("tiles", &tiles(5)));
    assert_eq!(kept.read("tiles"), Some(tiles(5)));
}

#[test]
fn where_nothing_can_be_kept_nothing_fails() {
    let folder = tempfile::tempdir().unwrap();
    // There is a file where the folder should be, so that even root cannot write.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for keep in [Keep::In(file.join("below")), Keep::In(file), Keep::Nothing] {
        let kept = Store::open(&keep, &info());
        assert!(!kept.write("tiles", &tiles(1)), "{keep:?}");
        assert_eq!(kept.read::<Tiles>("tiles"), None);
        assert!(!logits(&context(keep)).is_empty());
    }
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn readers_see_whole_documents_while_writers_write() {
    let folder = tempfile::tempdir().unwrap();
    let kept = store(folder.path());
    kept.write("tiles", &tiles(0));
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let kept = store(folder.path());
            scope.spawn(move || (0..100).for_each(|n| assert!(kept.write("tiles", &tiles(writer * 100 + n)))));
        }
        for _ in 0..500 {
            let read: Tiles = kept.read("tiles").expect("a whole document");
            assert_eq!(read, tiles(read.rows));
        }
    });
    assert_eq!(files(folder.path()).len(), 1, "no part of a file is left");
}

/// Compiled pipelines are kept if the device supports it, and a damaged file does no harm.
#[test]
fn pipelines_are_kept_and_damaged_ones_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let keep = || Keep::In(folder.path().to_owned());
    let expected = logits(&context(Keep::Nothing));
    assert!(files(folder.path()).is_empty());
    let first = context(keep());
    assert_eq!(logits(&first), expected);
    if !first.device().features().contains(wgpu::Features::PIPELINE_CACHE) {
        println!("skipped: {} keeps no pipelines", first.describe());
        return;
    }
    let file = first.store().folder().unwrap().join("pipelines.bin");
    let kept = std::fs::read(&file).unwrap();
    assert!(kept.len() > 100, "{} bytes", kept.len());
    assert_eq!(logits(&context(keep())), expected);
    // Besides the pipelines, only the choices of ways are kept.
    assert_eq!(files(folder.path()), [file.with_file_name("choices.json"), file.clone()]);
    let flipped: Vec<u8> = kept.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == kept.len() / 2)).collect();
    // Garbage with a correct hash, as another program or version might have left it. wgpu's own check refuses it.
    let foreign = [b"tcvitpc1".as_slice(), &fnv(b"garbage").to_le_bytes(), b"garbage"].concat();
    for damaged in [&flipped, &kept[..kept.len() / 2], b"", b"garbage", &foreign] {
        std::fs::write(&file, damaged).unwrap();
        assert_eq!(logits(&context(keep())), expected);
        assert!(std::fs::read(&file).unwrap().len() > 100, "it is written again");
    }
    // An application's own device, with the feature and without.
    for features in [wgpu::Features::PIPELINE_CACHE, wgpu::Features::empty()] {
        std::fs::remove_file(&file).ok();
        let (device, queue) = device(features);
        let own = Context::from_device_with(device, queue, ContextOptions::new().keep(keep())).unwrap();
        // Other ways run there, so results differ by rounding.
        assert!(support::relative(&logits(&own), &expected) <= 1e-5);
        assert_eq!(file.exists(), !features.is_empty());
        assert!(own.store().write("tiles", &tiles(1)));
    }
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf29ce484222325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100000001b3))
}

fn device(features: wgpu::Features) -> (wgpu::Device, wgpu::Queue) {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    // As in the library, for the sake of tests that run at the same time.
    descriptor.flags.remove(wgpu::InstanceFlags::DEBUG);
    let instance = wgpu::Instance::new(descriptor.with_env());
    pollster::block_on(async {
        let adapter = instance.request_adapter(&Default::default()).await.unwrap();
        let descriptor = wgpu::DeviceDescriptor { required_features: features, ..Default::default() };
        adapter.request_device(&descriptor).await.unwrap()
    })
}
