//! The options of a session, and the outputs that a forward reads back.

use std::fmt;
use std::str::FromStr;

use crate::condensation::Condensation;
use crate::error::Error;
use crate::plan::Attention;

/// Where photographs are resized, cropped and normalised. Both give the same pixels, bit for bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preprocessing {
    /// On all cores of the CPU, while the GPU works on the previous batch.
    #[default]
    Cpu,
    /// On the GPU. Only the bytes that the crop needs are uploaded. This suits machines with few or slow cores.
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

    /// Reads `cpu` or `gpu`.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            other => Err(Error::config("preprocessing", "cpu or gpu", other)),
        }
    }
}

/// The options of a session. The default is one image, the full model, and photographs prepared on the CPU.
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
    /// One image and the full model.
    pub fn new() -> Self {
        Self::default()
    }

    /// Images in a batch. A batch that exceeds the adapter's binding limit is split into even runs.
    #[must_use]
    pub fn batch(mut self, images: usize) -> Self {
        self.batch = images;
        self
    }

    /// Condenses tokens.
    #[must_use]
    pub fn condense(mut self, condensation: Condensation) -> Self {
        self.condensation = Some(condensation);
        self
    }

    /// Condenses tokens, or runs the full model for `None`.
    #[must_use]
    pub fn condensation(mut self, condensation: Option<Condensation>) -> Self {
        self.condensation = condensation;
        self
    }

    /// Runs attention by this route instead of the one that is expected to be fastest. If the device or the model
    /// cannot run it, opening the session is an error.
    #[must_use]
    pub fn attention(mut self, attention: Attention) -> Self {
        self.attention = Some(attention);
        self
    }

    /// Keeps W of every block that condenses, for the field
    /// [`BlockTrace::connectivity`](crate::trace::BlockTrace::connectivity) of a trace. This takes memory for B N^2
    /// numbers in each such block.
    #[must_use]
    pub fn inspect(mut self) -> Self {
        self.inspect = true;
        self
    }

    /// Sets where photographs are prepared.
    #[must_use]
    pub fn preprocess(mut self, preprocessing: Preprocessing) -> Self {
        self.preprocessing = preprocessing;
        self
    }
}

/// The outputs of a forward that are read back: always the logits, and others on request.
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
    /// Only the logits [B, classes].
    pub const fn logits() -> Self {
        Self { features: false, pooled: false, blocks: false }
    }

    /// Adds the tokens after the final norm [B, T, D].
    #[must_use]
    pub const fn features(self) -> Self {
        Self { features: true, ..self }
    }

    /// Adds the classifier's input for each image [B, P], such as the class token or the mean of the patch tokens.
    #[must_use]
    pub const fn pooled(self) -> Self {
        Self { pooled: true, ..self }
    }

    /// Adds the scores, kept tokens and assignments of each block, and W if the session keeps it
    /// ([`SessionOptions::inspect`]).
    #[must_use]
    pub const fn trace(self) -> Self {
        Self { blocks: true, ..self }
    }
}
