//! A file's bytes without a copy of them: mapped a part at a time where the system can, read where it cannot.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::ops::{Deref, Range};
use std::path::Path;

use memmap2::{Mmap, MmapOptions};

/// The bytes of a checkpoint.
pub(super) enum Bytes {
    /// A file that can be mapped, and its length when it was opened.
    File(File, usize),
    /// A copy.
    Owned(Vec<u8>),
}

/// Some of the bytes. Pages of a mapped file come into memory as they are touched and leave it with this.
pub(super) enum Part<'a> {
    Mapped(Mmap),
    Borrowed(&'a [u8]),
}

impl Bytes {
    /// Opens the file at `path`, and reads it where it cannot be mapped: a pipe, some network file systems.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path)?;
        let length = usize::try_from(file.metadata()?.len()).map_err(|_| ErrorKind::FileTooLarge)?;
        // What has no length on disk may still have bytes to read.
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

    /// The bytes of `range`, which must lie within the length. An error when the file has become shorter meanwhile.
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

/// Maps a part of a file, to read from it.
#[allow(unsafe_code, reason = "mapping is unsafe; why it may be done is said at the place")]
fn map(file: &File, range: Range<usize>) -> Result<Mmap> {
    // SAFETY: the pages are only read, and only through this map. What Rust asks for beyond that, that nobody changes the
    // file meanwhile, no program can enforce. So nothing here depends on bytes staying as they are: the header is parsed
    // into owned values and checked against the length, and every tensor is copied out once, by offsets from that header,
    // and checked then. A file that is written over in place thus gives other numbers or an error, as it would when read.
    // One that is cut short is an error when the next tensor is mapped; only within the copying of one tensor is it what
    // `Checkpoint::open` warns of.
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
