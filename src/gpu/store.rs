//! Keeps files on disk between runs: compiled pipelines, and documents of what was measured or verified. There is one
//! folder for each adapter, driver and version of this crate and its shaders. All files can be made again, so no fault
//! of the disk is an error: a damaged file counts as missing, and a folder that cannot be written keeps nothing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::shaders::SHADERS;
use crate::file::write_whole;

/// The place of a [`Store`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keep {
    /// The folder in the environment variable `TCVIT_CACHE` (empty: nowhere). If it is not set, the folder `tcvit` in
    /// the system's cache folder: `$XDG_CACHE_HOME` or `~/.cache`; `~/Library/Caches` on macOS; `%LOCALAPPDATA%` on
    /// Windows.
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

/// The system's cache folder.
fn caches() -> Option<PathBuf> {
    // The XDG rules say to ignore relative paths. A relative home directory is ignored too.
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
    /// The store for the adapter `info`. Reads and writes nothing yet.
    pub fn open(keep: &Keep, info: &wgpu::AdapterInfo) -> Self {
        Self { folder: keep.folder().map(|folder| folder.join(key(info))) }
    }

    /// Its folder, which may not exist yet. `None` if nothing is kept.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The document `name`. `None` if there is none, or if it is not of type `T`.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let bytes = self.load(&format!("{}.json", plain(name)))?;
        let read = serde_json::from_slice(&bytes);
        read.inspect_err(|error| tracing::debug!(name, %error, "a document in the store is damaged")).ok()
    }

    /// Replaces the document `name`. A reader in this or another process gets either the old or the new document, never
    /// a part. Returns whether the document was written.
    pub fn write<T: Serialize + ?Sized>(&self, name: &str, document: &T) -> bool {
        match serde_json::to_vec_pretty(document) {
            Ok(bytes) => self.save(&format!("{}.json", plain(name)), &bytes),
            Err(error) => {
                tracing::debug!(name, %error, "a document cannot be written as JSON");
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

/// The name of an adapter's folder. It is readable, and different for every adapter, driver and version.
fn key(info: &wgpu::AdapterInfo) -> String {
    let wgpu::AdapterInfo { name, vendor, device, driver, driver_info, backend, .. } = info;
    // The shaders are part of the identity, because verdicts on a shader do not hold for an edited one of the same
    // version.
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

/// FNV-1a. It detects accidental damage and tells adapters apart.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

const PIPELINES: &str = "pipelines.bin";
/// The first bytes of a file of pipelines. A hash of the rest follows.
const MAGIC: &[u8; 8] = b"tcvitpc1";

/// The driver's compiled pipelines, as opaque bytes. Empty if the device or the store cannot keep them.
#[derive(Default)]
pub(super) struct PipelineCache {
    raw: Option<wgpu::PipelineCache>,
    changed: AtomicBool,
}

impl PipelineCache {
    /// A cache with the pipelines that `store` holds.
    pub(super) fn open(device: &wgpu::Device, store: &Store) -> Self {
        if store.folder.is_none() || !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return Self::default();
        }
        let file = store.load(PIPELINES);
        let data = file.as_deref().and_then(unsealed);
        tracing::debug!(bytes = data.map_or(0, <[u8]>::len), "read the compiled pipelines");
        Self { raw: Some(create(device, data)), changed: AtomicBool::new(false) }
    }

    /// The cache that new pipelines are created with.
    pub(super) fn raw(&self) -> Option<&wgpu::PipelineCache> {
        self.raw.as_ref()
    }

    /// Notes that a pipeline was created, which may be new.
    pub(super) fn changed(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Writes the cache to `store`, if pipelines were created since the last read or write and the driver returns
    /// different data.
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

#[allow(unsafe_code, reason = "wgpu cannot check these bytes; the comment below says why they are safe")]
fn create(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    // SAFETY: wgpu asks that the data come from `PipelineCache::get_data`, since drivers trust it. The data come from a
    // file that `sealed` wrote from exactly those bytes, in a folder of this adapter, driver and version, and its hash
    // is right. So truncated, damaged and foreign files are not used. wgpu also compares its own header (backend,
    // vendor, device, the driver's cache identifier) with the device, and `fallback` gives an empty cache if they
    // differ. Only a person who forges a file in the user's own folder remains, and such a person could also replace
    // the program.
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
