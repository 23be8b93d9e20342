//! A safetensors file, mapped or in memory: tensors by name, f32, f16 or bf16.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensors};

use super::bytes::Bytes;
use super::transformers::{self, Names, Translated};
use super::{Source, check_finite};
use crate::condensation::Condensation;
use crate::config::VitConfig;
use crate::error::{Error, Result};

/// A parsed checkpoint. Its header has been checked against the file's length.
pub struct Checkpoint {
    bytes: Bytes,
    data_start: usize,
    metadata: Metadata,
    origin: String,
    untaken: BTreeSet<String>,
    preprocessor: Option<String>,
}

impl Checkpoint {
    /// Opens a safetensors file. Where the system can, each tensor is mapped when it is loaded, so that memory holds one
    /// at a time; elsewhere the file is read.
    ///
    /// The file should stay as it is until the checkpoint is dropped; replacing it by renaming another to its name is fine.
    /// Written over in place, it gives other numbers or an error. Cut short, it is an error when it is opened and when the
    /// next tensor is loaded; but cut short in place at the very moment at which a tensor beyond its new end is copied, it
    /// ends the process on Unix (SIGBUS; Windows does not let it be cut). Where that can happen, read the file and use
    /// [`Checkpoint::from_bytes`].
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read, [`Error::Weights`] when it is not safetensors.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = Bytes::open(path).map_err(|error| {
            Error::file("read checkpoint", format!("a readable file at {}", path.display()), error.to_string())
        })?;
        Self::parse(bytes, &path.display().to_string())
    }

    /// Parses a safetensors file that is in memory; `origin` names it in errors.
    ///
    /// # Errors
    /// [`Error::Weights`] when it is not safetensors: truncated, with a header that contradicts the data, or else.
    pub fn from_bytes(bytes: Vec<u8>, origin: &str) -> Result<Self> {
        Self::parse(Bytes::Owned(bytes), origin)
    }

    fn parse(bytes: Bytes, origin: &str) -> Result<Self> {
        let malformed =
            |got: String| Error::weights(format!("read checkpoint {origin}"), "a whole safetensors file", got);
        let whole = bytes.part(0..bytes.len()).map_err(|error| malformed(error.to_string()))?;
        check_layout(&whole).map_err(&malformed)?;
        let (header, metadata) = SafeTensors::read_metadata(&whole).map_err(|error| malformed(error.to_string()))?;
        drop(whole);
        let untaken = metadata.tensors().into_keys().collect();
        Ok(Self { data_start: header + 8, bytes, metadata, origin: origin.to_owned(), untaken, preprocessor: None })
    }

    /// Adds the text of transformers' `preprocessor_config.json`, which says how images become pixels.
    pub fn with_preprocessor(mut self, json: Option<String>) -> Self {
        self.preprocessor = json;
        self
    }

    /// Shape of every tensor.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.metadata.tensors().into_iter().map(|(name, info)| (name, info.shape.clone())).collect()
    }

    /// The model's configuration, from the tensors' shapes and the text of the `config.json` beside them where there is
    /// one, timm's or transformers'.
    ///
    /// # Errors
    /// [`Error::Weights`] when the tensors are not a ViT's in timm's or transformers' names, or contradict `config_json`.
    pub fn config(&self, config_json: Option<&str>) -> Result<VitConfig> {
        let shapes = self.shapes();
        let names = Names::of(&shapes);
        transformers::configure(&shapes, names.as_ref(), config_json, self.preprocessor.as_deref())
    }

    /// The tensors by timm's names, whichever names they have.
    pub(crate) fn source(&mut self) -> Box<dyn Source + '_> {
        match Names::of(&self.shapes()) {
            Some(names) => Box::new(Translated { names, checkpoint: self }),
            None => Box::new(self),
        }
    }

    /// Leaves a tensor out of what must be taken.
    pub(super) fn ignore(&mut self, name: &str) {
        self.untaken.remove(name);
    }

    /// The free-form metadata of the header.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// The condensation that the model was fine-tuned for, where the header's metadata records one
    /// ([`Condensation::METADATA`]).
    ///
    /// # Errors
    /// [`Error::Weights`] when what it records is not a condensation.
    pub fn condensation(&self) -> Result<Option<Condensation>> {
        let Some(text) = self.metadata(Condensation::METADATA) else { return Ok(None) };
        Condensation::from_json(text).map(Some).map_err(|error| {
            let op = format!("read the condensation that {} was tuned for", self.origin);
            Error::weights(op, "what Condensation::to_json writes", error.to_string())
        })
    }

    fn op(&self, name: &str) -> String {
        format!("load tensor {name} from {}", self.origin)
    }
}

/// Whether `bytes` are a whole safetensors file; else what is wrong.
pub(crate) fn check_layout(bytes: &[u8]) -> std::result::Result<(), String> {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Err(format!("{} bytes, too few for a header", bytes.len()));
    };
    // The library adds the tensors' end to the header's length unchecked, which is a panic in a debug build.
    let header = usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|length| rest.get(..length));
    let ends = header.and_then(|header| Some(serde_json::from_slice::<Metadata>(header).ok()?.data_len()));
    if let Some(end) = ends.filter(|&end| end > rest.len()) {
        return Err(format!("tensors that end at byte {end} of {}", rest.len()));
    }
    // The library checks that lengths, offsets, shapes and types agree and cover the file exactly.
    SafeTensors::deserialize(bytes).map(|_| ()).map_err(|error| error.to_string())
}

impl Source for Checkpoint {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let info = self.metadata.info(name).ok_or_else(|| {
            Error::weights(self.op(name), format!("a tensor of shape {shape:?}"), "no tensor of that name")
        })?;
        // timm and its exporters differ in leading ones: [1, 1, D] and [1, D] hold the same numbers.
        let squeezed = |shape: &[usize]| shape.iter().copied().skip_while(|&n| n == 1).collect::<Vec<_>>();
        if squeezed(&info.shape) != squeezed(shape) {
            return Err(Error::weights(self.op(name), format!("shape {shape:?}"), format!("{:?}", info.shape)));
        }
        let (begin, end) = info.data_offsets;
        let data = self.bytes.part(self.data_start + begin..self.data_start + end).map_err(|error| {
            Error::file(self.op(name), "the file to stay as it was when it was opened", error.to_string())
        })?;
        let values: Vec<f32> = match info.dtype {
            Dtype::F32 => data.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            Dtype::F16 => data.as_chunks::<2>().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
            Dtype::BF16 => data.as_chunks::<2>().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32()).collect(),
            other => {
                return Err(Error::weights(self.op(name), "f32, f16 or bf16", format!("{other:?}")));
            }
        };
        drop(data);
        check_finite(name, &values)?;
        self.untaken.remove(name);
        Ok(values)
    }

    fn ignore(&mut self, name: &str) {
        self.untaken.remove(name);
    }

    fn finish(&mut self) -> Result<()> {
        if self.untaken.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.untaken.iter().take(8).map(String::as_str).collect();
        let more = self.untaken.len().saturating_sub(names.len());
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        Err(Error::weights(
            format!("load {}", self.origin),
            "only tensors of a ViT",
            format!("left over: {}{tail}", names.join(", ")),
        ))
    }
}
