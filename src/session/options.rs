//! What a session is opened with, and what is asked of it.

use std::fmt;
use std::str::FromStr;

use crate::condensation::Condensation;
use crate::error::Error;
use crate::plan::Attention;

/// Where photographs are resized, cropped and normalised. The pixels are the same, to the bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preprocessing {
    /// On the processor, every core of it, while the GPU works on the batch before.
    #[default]
    Cpu,
    /// On the GPU: the bytes that the crop needs are uploaded. For few or slow cores.
    Gpu,
}

impl fmt::Display for Preprocessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        })
    }
}

impl FromStr for Preprocessing {
    type Err = Error;

    /// `cpu` or `gpu`.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            other => Err(Error::config("preprocessing", "cpu or gpu", other)),
        }
    }
}

/// What a session is opened with. The default is one image, full model, photographs prepared on the processor.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    pub(super) batch: usize,
    pub(super) condensation: Option<Condensation>,
    pub(super) inspect: bool,
    pub(super) attention: Option<Attention>,
    pub(super) preprocessing: Preprocessing,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { batch: 1, condensation: None, inspect: false, attention: None, preprocessing: Preprocessing::Cpu }
    }
}

impl SessionOptions {
    /// One image, full model.
    pub fn new() -> Self {
        Self::default()
    }

    /// Images in a batch. A batch that exceeds the adapter's binding limit is split into even runs.
    #[must_use]
    pub fn batch(mut self, images: usize) -> Self {
        self.batch = images;
        self
    }

    /// Condense tokens.
    #[must_use]
    pub fn condense(mut self, condensation: Condensation) -> Self {
        self.condensation = Some(condensation);
        self
    }

    /// Condense or not, as decided elsewhere.
    #[must_use]
    pub fn condensation(mut self, condensation: Option<Condensation>) -> Self {
        self.condensation = condensation;
        self
    }

    /// Run attention so, instead of as is expected to be fastest on the adapter. A device or model that cannot is an error
    /// when the session is opened.
    #[must_use]
    pub fn attention(mut self, attention: Attention) -> Self {
        self.attention = Some(attention);
        self
    }

    /// Keep W of every block that condenses, for [`BlockTrace::connectivity`](crate::trace::BlockTrace::connectivity):
    /// memory for B N^2 numbers a block.
    #[must_use]
    pub fn inspect(mut self) -> Self {
        self.inspect = true;
        self
    }

    /// Where photographs are prepared.
    #[must_use]
    pub fn preprocess(mut self, preprocessing: Preprocessing) -> Self {
        self.preprocessing = preprocessing;
        self
    }
}

/// Which results of a forward are read back: the logits always, the others where they are asked for.
///
/// ```
/// use tcvit::Outputs;
///
/// let outputs = Outputs::logits().features().trace();
/// assert_ne!(outputs, Outputs::logits());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Outputs {
    pub(super) features: bool,
    pub(super) pooled: bool,
    pub(super) blocks: bool,
}

impl Outputs {
    /// Logits [B, classes] alone.
    pub const fn logits() -> Self {
        Self { features: false, pooled: false, blocks: false }
    }

    /// Tokens after the final norm [B, T, D] too.
    #[must_use]
    pub const fn features(self) -> Self {
        Self { features: true, ..self }
    }

    /// What a classifier sees of each image [B, P] too: its class token, or the mean of its tokens.
    #[must_use]
    pub const fn pooled(self) -> Self {
        Self { pooled: true, ..self }
    }

    /// Scores, kept tokens and assignments of each block too, and W if the session keeps it
    /// ([`SessionOptions::inspect`]).
    #[must_use]
    pub const fn trace(self) -> Self {
        Self { blocks: true, ..self }
    }
}
