//! The error type of the crate. Every variant says what was being done (`op`), what was `expected`, what was `got`, and
//! which error of another crate caused it (`source`), if there is one.

use std::error::Error as StdError;

/// The error of another crate that caused an [`Error`].
type Source = Box<dyn StdError + Send + Sync>;

/// What went wrong. The variant tells a program how to react, and the text tells a person what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "every variant has the same four fields, described above")]
pub enum Error {
    /// An option or a configuration that the crate cannot use.
    #[error("{op}: expected {expected}, got {got}")]
    Config { op: String, expected: String, got: String, source: Option<Source> },
    /// A tensor, buffer or slice whose shape or length does not fit.
    #[error("{op}: expected {expected}, got {got}")]
    Shape { op: String, expected: String, got: String, source: Option<Source> },
    /// A checkpoint that is malformed, or whose tensors are missing, left over, of the wrong shape or not finite.
    #[error("{op}: expected {expected}, got {got}")]
    Weights { op: String, expected: String, got: String, source: Option<Source> },
    /// An image that cannot be decoded or has no pixels.
    #[error("{op}: expected {expected}, got {got}")]
    Image { op: String, expected: String, got: String, source: Option<Source> },
    /// A file that cannot be read or written.
    #[error("{op}: expected {expected}, got {got}")]
    File { op: String, expected: String, got: String, source: Option<Source> },
    /// The adapter's limits are too small for what was asked.
    #[error("{op}: expected {expected}, got {got}")]
    Limit { op: String, expected: String, got: String, source: Option<Source> },
    /// No adapter, or none that matches.
    #[error("{op}: expected {expected}, got {got}")]
    NoAdapter { op: String, expected: String, got: String, source: Option<Source> },
    /// A shader that does not compile or a pipeline that the driver refuses.
    #[error("{op}: expected {expected}, got {got}")]
    Shader { op: String, expected: String, got: String, source: Option<Source> },
    /// The device was lost, ran out of memory or rejected a command.
    #[error("{op}: expected {expected}, got {got}")]
    Device { op: String, expected: String, got: String, source: Option<Source> },
    /// A result that contains NaN or infinity. No caller should take it for an answer.
    #[error("{op}: expected {expected}, got {got}")]
    NotFinite { op: String, expected: String, got: String, source: Option<Source> },
}

/// `std::result::Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! constructors {
    ($($name:ident => $variant:ident),* $(,)?) => {
        impl Error {
            $(#[doc = concat!("An [`Error::", stringify!($variant), "`] without a source.")]
            pub fn $name(op: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) -> Self {
                Error::$variant { op: op.into(), expected: expected.into(), got: got.into(), source: None }
            })*
        }
    };
}

impl Error {
    /// The same error with `cause` as its [`source`](StdError::source). The text of the error must name the cause
    /// already.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        match &mut self {
            Self::Config { source, .. }
            | Self::Shape { source, .. }
            | Self::Weights { source, .. }
            | Self::Image { source, .. }
            | Self::File { source, .. }
            | Self::Limit { source, .. }
            | Self::NoAdapter { source, .. }
            | Self::Shader { source, .. }
            | Self::Device { source, .. }
            | Self::NotFinite { source, .. } => *source = Some(cause.into()),
        }
        self
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_an_error_is_its_source() {
        let cause = std::io::Error::new(std::io::ErrorKind::NotFound, "nothing there");
        let error = Error::file("open image", "a readable file", cause.to_string()).caused_by(cause);
        assert_eq!(error.to_string(), "open image: expected a readable file, got nothing there");
        let source = error.source().unwrap().downcast_ref::<std::io::Error>().unwrap();
        assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        assert!(Error::config("a", "b", "c").source().is_none());
    }
}
