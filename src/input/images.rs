//! The values that can become an image: paths, encoded bytes, decoded images.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use image::{DynamicImage, RgbImage};

use super::{decode_image, open_image};
use crate::error::Result;

/// A value from which a session makes an image: a path, the bytes of an encoded file, a decoded image, or a `Result` of
/// one of these. A thread that prepares images converts the value when the image is needed.
///
/// ```no_run
/// # fn classify(session: tcvit::Session, camera: tcvit::image::RgbImage) -> tcvit::Result<()> {
/// session.classify(["cat.jpg", "dog.jpg"])?;
/// session.classify([&camera])?;
/// session.classify([std::fs::read("bird.jpg").unwrap()])?;
/// # Ok(()) }
/// ```
pub trait IntoImage: Send {
    /// The image.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) for a file that cannot be read, [`Error::Image`](crate::Error::Image) for
    /// bytes that are not an image.
    fn into_image<'a>(self) -> Result<Cow<'a, RgbImage>>
    where
        Self: 'a;
}

macro_rules! into_image {
    ($($(#[$meta:meta])* $kind:ty: |$value:ident| $image:expr;)*) => {
        $($(#[$meta])*
        impl IntoImage for $kind {
            fn into_image<'a>(self) -> Result<Cow<'a, RgbImage>>
            where
                Self: 'a,
            {
                let $value = self;
                $image
            }
        })*
    };
}

into_image! {
    RgbImage: |image| Ok(Cow::Owned(image));
    &RgbImage: |image| Ok(Cow::Borrowed(image));
    /// Converted as [`decode_image`] does.
    DynamicImage: |image| Ok(Cow::Owned(image.into_rgb8()));
    /// The path of a file, as [`open_image`].
    &str: |path| open_image(Path::new(path)).map(Cow::Owned);
    /// The path of a file, as [`open_image`].
    String: |path| open_image(Path::new(&path)).map(Cow::Owned);
    /// The path of a file, as [`open_image`].
    &Path: |path| open_image(path).map(Cow::Owned);
    /// The path of a file, as [`open_image`].
    PathBuf: |path| open_image(&path).map(Cow::Owned);
    /// The path of a file, as [`open_image`].
    &PathBuf: |path| open_image(path).map(Cow::Owned);
    /// The bytes of a file, as [`decode_image`].
    &[u8]: |bytes| decode_image(bytes, "bytes").map(Cow::Owned);
    /// The bytes of a file, as [`decode_image`].
    Vec<u8>: |bytes| decode_image(&bytes, "bytes").map(Cow::Owned);
}

impl IntoImage for Cow<'_, RgbImage> {
    fn into_image<'a>(self) -> Result<Cow<'a, RgbImage>>
    where
        Self: 'a,
    {
        Ok(self)
    }
}

impl<T: IntoImage> IntoImage for Result<T> {
    fn into_image<'a>(self) -> Result<Cow<'a, RgbImage>>
    where
        Self: 'a,
    {
        self?.into_image()
    }
}
