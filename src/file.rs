//! Writing files so that a reader never finds a partial one.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Writes `bytes` to a file beside `path`, then renames that file to `path`. A reader finds the old file or the whole
/// new one.
///
/// # Errors
/// [`Error::File`] naming the path. The file beside it is removed.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::file("write file", format!("to be able to write {}", path.display()), error.to_string()).caused_by(error)
    };
    let name = path.file_name().ok_or_else(|| {
        Error::file("write file", "a path that names a file", format!("{:?}", path.display().to_string()))
    })?;
    // The name is unique to this process and call, since two threads may write the same file.
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let mut beside = name.to_owned();
    beside.push(format!(".{}.{}.part", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed)));
    let beside = path.with_file_name(beside);
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|error| {
        // The partial file may not exist. The error to report is the one above.
        let _ = std::fs::remove_file(&beside);
        failed(error)
    })
}
