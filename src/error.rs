//! The one error type. Every variant says what was being done (`op`), what was `expected` and what was `got`.

/// What can go wrong, by whose doing: the variant tells a program how to react, the text tells a person what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "every variant has the same three fields, described above")]
pub enum Error {
    /// An option or a configuration that cannot be honoured.
    #[error("{op}: expected {expected}, got {got}")]
    Config { op: String, expected: String, got: String },
    /// A tensor, buffer or slice whose shape or length does not fit.
    #[error("{op}: expected {expected}, got {got}")]
    Shape { op: String, expected: String, got: String },
    /// A checkpoint that is malformed, or whose tensors are missing, left over, of the wrong shape or not finite.
    #[error("{op}: expected {expected}, got {got}")]
    Weights { op: String, expected: String, got: String },
    /// An image that cannot be decoded or has no pixels.
    #[error("{op}: expected {expected}, got {got}")]
    Image { op: String, expected: String, got: String },
    /// A file that cannot be read or written.
    #[error("{op}: expected {expected}, got {got}")]
    File { op: String, expected: String, got: String },
    /// The adapter's limits are too small for what was asked.
    #[error("{op}: expected {expected}, got {got}")]
    Limit { op: String, expected: String, got: String },
    /// No adapter, or none that matches.
    #[error("{op}: expected {expected}, got {got}")]
    NoAdapter { op: String, expected: String, got: String },
    /// A shader that does not compile or a pipeline that the driver refuses.
    #[error("{op}: expected {expected}, got {got}")]
    Shader { op: String, expected: String, got: String },
    /// The device was lost, ran out of memory or rejected a command.
    #[error("{op}: expected {expected}, got {got}")]
    Device { op: String, expected: String, got: String },
    /// A result that contains NaN or infinity, which no caller should mistake for an answer.
    #[error("{op}: expected {expected}, got {got}")]
    NotFinite { op: String, expected: String, got: String },
}

/// `std::result::Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! constructors {
    ($($name:ident => $variant:ident),* $(,)?) => {
        impl Error {
            $(pub(crate) fn $name(op: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) -> Self {
                Error::$variant { op: op.into(), expected: expected.into(), got: got.into() }
            })*
        }
    };
}

constructors! {
    config => Config,
    shape => Shape,
    weights => Weights,
    image => Image,
    file => File,
    limit => Limit,
    no_adapter => NoAdapter,
    shader => Shader,
    device => Device,
    not_finite => NotFinite,
}
