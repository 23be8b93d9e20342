//! A safetensors file, mapped or in memory: tensors by name, in f32, f16 or bf16.

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
    /// Opens a safetensors file. If the system can map files, each tensor is mapped when it is loaded, so that memory
    /// holds one tensor at a time. Otherwise the whole file is read.
    ///
    /// The file should not change until the checkpoint is dropped. Replacing it by renaming another file to its name is
    /// fine. If it is overwritten in place, loading gives other numbers or an error. If it is cut short, opening it or
    /// loading the next tensor gives an error. But if it is cut short in place while a tensor beyond its new end is
    /// being copied, the process is ended by a signal on Unix (SIGBUS); Windows prevents this. If that can happen, read
    /// the file and use [`Checkpoint::from_bytes`].
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be read, [`Error::Weights`] when it is not a safetensors file.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = Bytes::open(path).map_err(|error| {
            Error::file("read checkpoint", format!("a readable file at {}", path.display()), error.to_string())
                .caused_by(error)
        })?;
        Self::parse(bytes, &path.display().to_string())
    }

    /// Parses the bytes of a safetensors file. `origin` names it in errors.
    ///
    /// # Errors
    /// [`Error::Weights`] when the bytes are not a safetensors file, for example truncated, or with a header that
    /// contradicts the data.
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

    /// Adds the text of transformers' `preprocessor_config.json`, which describes how images become pixels.
    pub fn with_preprocessor(mut self, json: Option<String>) -> Self {
        self.preprocessor = json;
        self
    }

    /// Shape of every tensor.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.metadata.tensors().into_iter().map(|(name, info)| (name, info.shape.clone())).collect()
    }

    /// The model's configuration, from the tensors' shapes and, if given, the text of the `config.json` beside the
    /// checkpoint, which may have timm's or transformers' format.
    ///
    /// # Errors
    /// [`Error::Weights`] when the tensors are not those of a ViT in timm's or transformers' names, or contradict
    /// `config_json`; [`Error::Config`] when the configuration is not valid.
    pub fn config(&self, config_json: Option<&str>) -> Result<VitConfig> {
        let shapes = self.shapes();
        let names = Names::of(&shapes);
        transformers::configure(&shapes, names.as_ref(), config_json, self.preprocessor.as_deref())
    }

    /// A source of the tensors by timm's names, whether the file uses timm's or transformers'.
    pub(crate) fn source(&mut self) -> Box<dyn Source + '_> {
        match Names::of(&self.shapes()) {
            Some(names) => Box::new(Translated { names, checkpoint: self }),
            None => Box::new(self),
        }
    }

    /// Removes a tensor from those that must be taken.
    pub(super) fn ignore(&mut self, name: &str) {
        self.untaken.remove(name);
    }

    /// The value of `key` in the header's free-form metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// The condensation that the model was fine-tuned for, if the header's metadata records one
    /// ([`Condensation::METADATA`]).
    ///
    /// # Errors
    /// [`Error::Weights`] when the recorded text is not a condensation.
    pub fn condensation(&self) -> Result<Option<Condensation>> {
        let Some(text) = self.metadata(Condensation::METADATA) else { return Ok(None) };
        Condensation::from_json(text).map(Some).map_err(|error| {
            let op = format!("read the condensation that {} was tuned for", self.origin);
            Error::weights(op, "JSON as Condensation::to_json writes it", error.to_string()).caused_by(error)
        })
    }

    fn op(&self, name: &str) -> String {
        format!("load tensor {name} from {}", self.origin)
    }
}

/// Checks that `bytes` are a whole safetensors file. The error says what is wrong.
pub(crate) fn check_layout(bytes: &[u8]) -> std::result::Result<(), String> {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Err(format!("{} bytes, too few for a header", bytes.len()));
    };
    // The library adds the tensors' end to the header's length without a check, which panics in a debug build if it
    // overflows.
    let header = usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|length| rest.get(..length));
    let ends = header.and_then(|header| Some(serde_json::from_slice::<Metadata>(header).ok()?.data_len()));
    if let Some(end) = ends.filter(|&end| end > rest.len()) {
        return Err(format!("tensors that end at byte {end} of {}", rest.len()));
    }
    // Here the library checks that lengths, offsets, shapes and types agree and cover the file exactly.
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
            Error::file(self.op(name), "a file that has not changed since it was opened", error.to_string())
                .caused_by(error)
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
