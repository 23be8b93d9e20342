//! A file's bytes without a copy of the whole file: mapped part by part if the system can, and read otherwise.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::ops::{Deref, Range};
use std::path::Path;

use memmap2::{Mmap, MmapOptions};

/// The bytes of a checkpoint.
pub(super) enum Bytes {
    /// A file that can be mapped, and its length when it was opened.
    File(File, usize),
    /// A copy in memory.
    Owned(Vec<u8>),
}

/// A part of the bytes. The pages of a mapped file are loaded when they are read, and freed when this value is dropped.
pub(super) enum Part<'a> {
    Mapped(Mmap),
    Borrowed(&'a [u8]),
}

impl Bytes {
    /// Opens the file at `path`. If it cannot be mapped, as with a pipe or on some network file systems, it is read.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path)?;
        let length = usize::try_from(file.metadata()?.len()).map_err(|_| ErrorKind::FileTooLarge)?;
        // A file without a length on disk may still have bytes to read.
        if length > 0 && map(&file, 0..length).is_ok() {
            return Ok(Self::File(file, length));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Self::Owned(bytes))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::File(_, length) => *length,
            Self::Owned(bytes) => bytes.len(),
        }
    }

    /// The bytes of `range`, which must lie within the length. It is an error if the file has become shorter since it
    /// was opened.
    pub(super) fn part(&self, range: Range<usize>) -> Result<Part<'_>> {
        let short = || Error::new(ErrorKind::UnexpectedEof, "the file has been cut short since it was opened");
        match self {
            Self::Owned(bytes) => bytes.get(range).map(Part::Borrowed).ok_or_else(short),
            Self::File(..) if range.is_empty() => Ok(Part::Borrowed(&[])),
            Self::File(file, _) if file.metadata()?.len() < range.end as u64 => Err(short()),
            Self::File(file, _) => map(file, range).map(Part::Mapped),
        }
    }
}

/// Maps a part of a file for reading.
#[allow(unsafe_code, reason = "mapping is unsafe; the comment at the call says why it is sound")]
fn map(file: &File, range: Range<usize>) -> Result<Mmap> {
    // SAFETY: the pages are only read, and only through this map. Rust also requires that nobody changes the file
    // meanwhile, which no program can enforce. So nothing here depends on bytes staying unchanged: the header is parsed
    // into owned values and checked against the length; every tensor is copied out once, by offsets from that header,
    // and checked afterwards. If the file is overwritten in place, the result is other numbers or an error, as it would
    // be with reading. If the file is cut short, mapping the next tensor gives an error. If it is cut short while a
    // tensor is being copied, the process may end as `Checkpoint::open` describes.
    unsafe { MmapOptions::new().offset(range.start as u64).len(range.len()).map(file) }
}

impl Deref for Part<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(bytes) => bytes,
            Self::Borrowed(bytes) => bytes,
        }
    }
}
