//! Image formats are features of the library. The error for an image whose format was left out of the build names the
//! feature. `cargo test -p tcvit --no-default-features --test formats` leaves all formats out.

use std::path::Path;

use tcvit::Error;
use tcvit::low_level::input::{decode_image, open_image};

/// The text of the error that `feature` is missing.
fn missing(name: &str, feature: &str) -> String {
    format!(
        "decode {name}: expected a build of tcvit with the feature `{feature}`, which decodes such images, got one without it"
    )
}

#[test]
fn a_format_without_its_feature_names_it() {
    // Each begins as its format does and ends too early.
    let beginnings: [(&str, bool, &[u8]); 6] = [
        ("jpeg", cfg!(feature = "jpeg"), b"\xFF\xD8\xFF\xE0"),
        ("png", cfg!(feature = "png"), b"\x89PNG\r\n\x1A\n"),
        ("webp", cfg!(feature = "webp"), b"RIFF\0\0\0\0WEBP"),
        ("bmp", cfg!(feature = "bmp"), b"BM"),
        ("gif", cfg!(feature = "gif"), b"GIF89a"),
        ("tiff", cfg!(feature = "tiff"), b"II*\0"),
    ];
    for (feature, enabled, bytes) in beginnings {
        let error = decode_image(bytes, "it").unwrap_err();
        assert!(matches!(error, Error::Image { .. }), "{error}");
        assert_eq!(error.to_string() == missing("it", feature), !enabled, "{feature}: {error}");
    }
}

#[test]
fn a_photograph_opens_with_its_feature_only() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/cli/assets/photos/chelsea.jpg");
    let opened = open_image(&path);
    assert_eq!(opened.is_ok(), cfg!(feature = "jpeg"));
    match opened {
        Ok(photo) => assert_eq!(photo.dimensions(), (451, 300)),
        Err(error) => assert_eq!(error.to_string(), missing(&path.display().to_string(), "jpeg")),
    }
}
