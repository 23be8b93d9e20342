//! What is worth keeping between runs, on disk, in a folder for each adapter, driver and version of this crate and of its
//! shaders: compiled pipelines, and documents of what was measured or checked there. All of it can be made again, so nothing
//! that goes wrong with the disk is an error: a damaged file is as good as none, and a folder that cannot be written keeps
//! nothing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::shaders::SHADERS;
use crate::file::write_whole;

/// Where a [`Store`] is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keep {
    /// The folder that the environment's `TCVIT_CACHE` names (empty: nowhere), else `tcvit` in the system's folder for
    /// caches: `$XDG_CACHE_HOME` or `~/.cache`; `~/Library/Caches` on macOS; `%LOCALAPPDATA%` on Windows.
    #[default]
    Default,
    /// This folder.
    In(PathBuf),
    /// Nowhere.
    Nothing,
}

impl Keep {
    fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::Nothing => None,
            Self::In(folder) => Some(folder.clone()),
            Self::Default => match std::env::var_os("TCVIT_CACHE") {
                Some(folder) if folder.is_empty() => None,
                Some(folder) => Some(folder.into()),
                None => Some(caches()?.join("tcvit")),
            },
        }
    }
}

/// The system's folder for caches.
fn caches() -> Option<PathBuf> {
    // The XDG rules ignore relative paths, and a relative home is none.
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::home_dir().filter(|path| path.is_absolute());
    if cfg!(windows) {
        variable("LOCALAPPDATA").or_else(|| Some(home()?.join("AppData").join("Local")))
    } else if cfg!(target_os = "macos") {
        Some(home()?.join("Library").join("Caches"))
    } else {
        variable("XDG_CACHE_HOME").or_else(|| Some(home()?.join(".cache")))
    }
}

/// Documents by name, kept between runs for one adapter, driver and version of this crate and its shaders.
#[derive(Clone, Debug)]
pub struct Store {
    folder: Option<PathBuf>,
}

impl Store {
    /// The store for the adapter `info`. Nothing is read or written yet.
    pub fn open(keep: &Keep, info: &wgpu::AdapterInfo) -> Self {
        Self { folder: keep.folder().map(|folder| folder.join(key(info))) }
    }

    /// Its folder, which may not exist yet; `None` where nothing is kept.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The document `name`; `None` where there is none, or none of that form.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let bytes = self.load(&format!("{}.json", plain(name)))?;
        let read = serde_json::from_slice(&bytes);
        read.inspect_err(|error| tracing::debug!(name, %error, "a damaged document in the store")).ok()
    }

    /// Keeps `document` under `name`, in the place of what was there: whoever reads meanwhile, in this process or another,
    /// gets one or the other whole. Returns whether it is kept.
    pub fn write<T: Serialize + ?Sized>(&self, name: &str, document: &T) -> bool {
        match serde_json::to_vec_pretty(document) {
            Ok(bytes) => self.save(&format!("{}.json", plain(name)), &bytes),
            Err(error) => {
                tracing::debug!(name, %error, "a document that is no JSON");
                false
            }
        }
    }

    fn load(&self, file: &str) -> Option<Vec<u8>> {
        std::fs::read(self.folder.as_ref()?.join(file)).ok()
    }

    fn save(&self, file: &str, bytes: &[u8]) -> bool {
        let Some(folder) = &self.folder else { return false };
        let saved = std::fs::create_dir_all(folder)
            .map_err(|error| error.to_string())
            .and_then(|()| write_whole(&folder.join(file), bytes).map_err(|error| error.to_string()));
        saved.inspect_err(|error| tracing::debug!(file, error, "the store cannot be written")).is_ok()
    }
}

/// The name of an adapter's folder: readable, and different wherever what is kept may differ.
fn key(info: &wgpu::AdapterInfo) -> String {
    let wgpu::AdapterInfo { name, vendor, device, driver, driver_info, backend, .. } = info;
    // A shader that has changed is another one, of which nothing has been proven, though the version may be the same.
    let shaders = SHADERS.iter().fold(0, |sum: u64, (_, text)| sum.rotate_left(1) ^ hash(text.as_bytes()));
    let version = env!("CARGO_PKG_VERSION");
    let identity =
        format!("{name}\n{vendor:x}\n{device:x}\n{driver}\n{driver_info}\n{backend}\n{version}\n{shaders:x}");
    let mut readable = plain(name);
    readable.truncate(40);
    format!("{readable}-{:016x}", hash(identity.as_bytes()))
}

/// A name that is one file name on every system: ASCII letters, digits and underscores.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

/// FNV-1a: tells what was damaged by chance from what was not, and one adapter from another.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

const PIPELINES: &str = "pipelines.bin";
/// What a file of pipelines starts with; then a hash of the rest.
const MAGIC: &[u8; 8] = b"tcvitpc1";

/// The driver's compiled pipelines, as it wants to see them again. Empty where the device or the store has no place for
/// them.
#[derive(Default)]
pub(super) struct PipelineCache {
    raw: Option<wgpu::PipelineCache>,
    changed: AtomicBool,
}

impl PipelineCache {
    /// With what `store` holds.
    pub(super) fn open(device: &wgpu::Device, store: &Store) -> Self {
        if store.folder.is_none() || !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return Self::default();
        }
        let file = store.load(PIPELINES);
        let data = file.as_deref().and_then(unsealed);
        tracing::debug!(bytes = data.map_or(0, <[u8]>::len), "compiled pipelines read");
        Self { raw: Some(create(device, data)), changed: AtomicBool::new(false) }
    }

    /// What pipelines are created with.
    pub(super) fn raw(&self) -> Option<&wgpu::PipelineCache> {
        self.raw.as_ref()
    }

    /// A pipeline was created, which may have been new.
    pub(super) fn changed(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Writes it to `store`, if pipelines were created since it was read or written and the driver made something of them.
    pub(super) fn save(&self, store: &Store) {
        let Some(raw) = &self.raw else { return };
        if !self.changed.swap(false, Ordering::Relaxed) {
            return;
        }
        if let Some(file) = raw.get_data().map(|data| sealed(&data))
            && store.load(PIPELINES).as_ref() != Some(&file)
        {
            store.save(PIPELINES, &file);
        }
    }
}

#[allow(unsafe_code, reason = "wgpu cannot check what a driver does with bytes; why they may be given is said here")]
fn create(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    // SAFETY: wgpu asks that the data be what `PipelineCache::get_data` returned, since drivers trust it. It comes from a
    // file that `sealed` wrote from exactly that, in a folder of this adapter, driver and version, and whose hash is right:
    // truncation, damage and files of other origin do not get here. wgpu compares its own header (backend, vendor, device,
    // the driver's cache identifier) with the device as well, and `fallback` makes what does not match an empty cache. What
    // is left is somebody who forges a file in the user's own folder, and who could as well replace the program.
    unsafe {
        device.create_pipeline_cache(&wgpu::PipelineCacheDescriptor { label: Some("tcvit"), data, fallback: true })
    }
}

fn sealed(data: &[u8]) -> Vec<u8> {
    [MAGIC, hash(data).to_le_bytes().as_slice(), data].concat()
}

fn unsealed(file: &[u8]) -> Option<&[u8]> {
    let (sum, data) = file.strip_prefix(MAGIC)?.split_first_chunk()?;
    (u64::from_le_bytes(*sum) == hash(data)).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_unsealed_unless_a_bit_changed() {
        let data: Vec<u8> = (0..100).collect();
        let file = sealed(&data);
        assert_eq!(unsealed(&file), Some(data.as_slice()));
        for bit in 0..file.len() * 8 {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unsealed(&damaged), None, "bit {bit}");
        }
        assert!((0..file.len()).all(|length| unsealed(&file[..length]).is_none()));
        assert_eq!(unsealed(&sealed(&[])), Some([].as_slice()));
    }

    #[test]
    fn names_are_file_names() {
        assert_eq!(plain("../Tuned GEMM: 8\u{d7}8"), "___tuned_gemm__8_8");
    }
}
