//! `tcvit visualize`: reads the pictures back and checks what they show.

use std::path::Path;

use base64::Engine;
use image::RgbImage;
use serde_json::Value;

use crate::support::small::bundled;
use crate::{json, photo, succeeds, tcvit, text, untuned};

/// Side of an image in a picture of the bundled model, in pixels: seven times its 32.
const SIDE: u32 = 224;
/// Side of a patch in that image, in pixels.
const PATCH: u32 = 28;

/// An image in an SVG: its label, place and pixels.
struct Shown {
    label: String,
    x: f64,
    y: f64,
    pixels: RgbImage,
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = &text[text.find(before).unwrap_or_else(|| panic!("{before} in {text:.200}")) + before.len()..];
    &rest[..rest.find(after).unwrap()]
}

fn images(svg: &str) -> Vec<Shown> {
    let elements = svg.split("<image ").skip(1);
    elements
        .map(|element| {
            let data = between(element, "base64,", "\"");
            let bytes = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
            Shown {
                label: between(element, "<title>", "</title>").to_owned(),
                x: between(element, "x=\"", "\"").parse().unwrap(),
                y: between(element, "y=\"", "\"").parse().unwrap(),
                pixels: image::load_from_memory(&bytes).unwrap().into_rgb8(),
            }
        })
        .collect()
}

/// A patch of an image of the bundled model, by its number.
fn patch(image: &RgbImage, number: u32) -> RgbImage {
    image::imageops::crop_imm(image, number % 8 * PATCH, number / 8 * PATCH, PATCH, PATCH).to_image()
}

fn is_white(image: &RgbImage) -> bool {
    image.pixels().all(|pixel| pixel.0 == [255; 3])
}

fn white_patches(image: &RgbImage) -> usize {
    (0..64).filter(|&number| is_white(&patch(image, number))).count()
}

/// The input of the bundled model, as large as in the picture.
fn seen(name: &str) -> RgbImage {
    let photo = image::open(photo(name)).unwrap().into_rgb8();
    let seen = bundled().preprocess().crop_resized(&photo).unwrap();
    RgbImage::from_fn(SIDE, SIDE, |x, y| *seen.get_pixel(x / 7, y / 7))
}

fn draw(folder: &Path, name: &str, arguments: &[&str]) -> (Value, Vec<u8>) {
    let path = folder.join(name);
    let [option, model] = &untuned();
    let report = json(&[&["visualize", "--json", "-o", path.to_str().unwrap(), option, model], arguments].concat());
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "nothing but the picture");
    std::fs::remove_file(path).unwrap();
    (report, bytes)
}

#[test]
fn every_row_shows_what_became_of_the_patches() {
    let folder = tempfile::tempdir().unwrap();
    let photos = [photo("chelsea"), photo("rocket")];
    let arguments = [&photos[0], &photos[1], "--drop", "6", "--batch", "2"];
    let (report, bytes) = draw(folder.path(), "out.svg", &arguments);
    assert_eq!(report["condensation"], "training_free, R = 6");
    let svg = text(&bytes);
    let images = images(svg);
    // Two photographs, with the original and eight blocks, in three rows.
    assert_eq!(images.len(), 2 * 9 * 3);
    for heading in
        ["block 8", "58 tokens", "16 tokens", "64 patches", "kept tokens", "representative", "fused", "rocket"]
    {
        assert!(svg.contains(heading), "{heading}");
    }
    for (name, image) in ["chelsea", "rocket"].into_iter().zip(report["images"].as_array().unwrap()) {
        let original = seen(name);
        let find = |row: &str, column: &str| {
            let label = format!("{name}.jpg, {row}, {column}");
            &images.iter().find(|image| image.label == label).unwrap_or_else(|| panic!("{label}")).pixels
        };
        assert!(image["file"].as_str().unwrap().contains(name));
        for row in ["kept tokens", "representative", "fused"] {
            assert!(*find(row, "original") == original, "{name}: what the model sees");
        }
        for (index, block) in image["blocks"].as_array().unwrap().iter().enumerate() {
            let column = format!("block {}", index + 1);
            let tokens = 64 - 6 * (index + 1);
            let groups: Vec<u64> = block["groups"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect();
            assert_eq!(
                (&block["block"], &block["tokens"], &block["pruned"]),
                (&index.into(), &tokens.into(), &0.into())
            );
            assert_eq!((groups.len(), groups.iter().sum::<u64>()), (tokens, 64), "{groups:?}");
            let [kept, representative, fused] =
                ["kept tokens", "representative", "fused"].map(|row| find(row, &column));
            assert_eq!(white_patches(kept), 64 - tokens, "{name}, {column}");
            assert_eq!((white_patches(representative), white_patches(fused)), (0, 0), "{name}, {column}");
            let shown: Vec<u32> = (0..64).filter(|&number| !is_white(&patch(kept, number))).collect();
            for number in 0..64 {
                let stands_for_it = patch(representative, number);
                let itself = shown.contains(&number);
                assert_eq!(itself, stands_for_it == patch(&original, number), "{name}, {column}, patch {number}");
                assert!(!itself || patch(kept, number) == stands_for_it);
                assert!(shown.iter().any(|&kept| patch(&original, kept) == stands_for_it), "{number}");
            }
        }
    }
}

#[test]
fn a_png_is_the_svg_at_twice_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let chelsea = photo("chelsea");
    let arguments = [chelsea.as_str(), "--preset", "paper", "--schedule", "0,0,20,0,0,20,0,0"];
    let (_, svg) = draw(folder.path(), "out.svg", &arguments);
    let (report, png) = draw(folder.path(), "OUT.PNG", &arguments);
    let svg = text(&svg);
    let page = image::load_from_memory(&png).unwrap().into_rgb8();
    let length = |name: &str| between(svg, &format!(" {name}=\""), "\"").parse::<u32>().unwrap();
    assert_eq!(page.dimensions(), (2 * length("width"), 2 * length("height")));
    assert!(report["picture"].as_str().unwrap().ends_with("OUT.PNG"));
    // Blocks that drop no tokens have no column.
    let images = images(svg);
    assert_eq!(images.len(), 3 * 3);
    assert!(svg.contains("block 3") && svg.contains("block 6") && !svg.contains("block 1<"));
    for shown in &images {
        let (x, y) = ((shown.x * 2.0) as u32, (shown.y * 2.0) as u32);
        let there = image::imageops::crop_imm(&page, x, y, SIDE, SIDE).to_image();
        assert!(there == shown.pixels, "{}: not as in the SVG", shown.label);
    }
    // There is text above the images, and the margin is white.
    let dark = |x: u32, y: u32| page.get_pixel(x, y).0[0] < 128;
    assert!((0..page.width()).any(|x| (20..64).any(|y| dark(x, y))));
    assert!((0..page.width()).all(|x| page.get_pixel(x, 2).0 == [255; 3]));
}

#[test]
fn pruned_patches_are_white_in_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let chelsea = photo("chelsea");
    let (report, svg) = draw(folder.path(), "out.svg", &[&chelsea, "--weights", "none", "--drop", "7"]);
    let blocks = report["images"][0]["blocks"].as_array().unwrap();
    for shown in images(text(&svg)).iter().filter(|shown| !shown.label.contains("original")) {
        let index: usize = shown.label.rsplit(' ').next().unwrap().parse().unwrap();
        assert_eq!(white_patches(&shown.pixels), 7 * index, "{}", shown.label);
        assert_eq!(blocks[index - 1]["pruned"], 7 * index);
    }
}

#[test]
fn the_matrix_is_drawn_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let chelsea = photo("chelsea");
    let (report, svg) = draw(folder.path(), "out.svg", &["--matrix", &chelsea, "--alpha", "300", "--drop", "6"]);
    let svg = text(&svg);
    assert_eq!(report["alpha"], 300.0);
    let maps = images(svg);
    assert_eq!((maps.len(), svg.matches("dominant rows").count(), svg.matches("<linearGradient").count()), (8, 8, 1));
    assert!(svg.contains("|I − aW|, a = 300") && svg.contains("block 8") && svg.contains("22 tokens"));
    for map in &maps {
        assert_eq!(map.pixels.dimensions(), (336, 336), "{}", map.label);
        let colours: std::collections::HashSet<[u8; 3]> = map.pixels.pixels().map(|pixel| pixel.0).collect();
        assert!(colours.len() > 50, "{}: {} colours", map.label, colours.len());
    }
    for (index, block) in report["images"][0]["blocks"].as_array().unwrap().iter().enumerate() {
        let matrix = &block["matrix"];
        assert_eq!(matrix["tokens"], 64 - 6 * index);
        assert!((0.0..=1.0).contains(&matrix["dominant_share"].as_f64().unwrap()), "{matrix}");
        assert!(matrix["norm"].as_f64().unwrap() > 0.0 && matrix["settled"] == true, "{matrix}");
    }
    // With a very small a, A is nearly I and Newton's iteration converges, so the same figures change.
    let (report, _) = draw(folder.path(), "out.svg", &["--matrix", &chelsea, "--alpha", "0.01"]);
    for block in report["images"][0]["blocks"].as_array().unwrap() {
        assert_eq!(block["matrix"]["dominant_share"], 1.0);
        assert!(block["matrix"]["norm"].as_f64().unwrap() < 0.1);
    }
}

#[test]
fn visualize_prints_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.svg");
    let [option, model] = &untuned();
    let arguments = ["visualize", &photo("chelsea"), "-o", path.to_str().unwrap(), option, model];
    let out = succeeds(&arguments);
    for part in ["chelsea.jpg", "largest", "training_free, R = 5", "out.svg, ", "adapter"] {
        assert!(out.contains(part), "{part:?} is not in:\n{out}");
    }
    let out = succeeds(&[&arguments[..], &["--matrix"]].concat());
    assert!(out.contains("iterations") && out.contains("paper, R = 5"), "{out}");
}

#[test]
fn pictures_that_cannot_be_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (chelsea, png) = (photo("chelsea"), at("out.png"));
    let fails = |arguments: &[&str], texts: &[&str]| {
        let [option, model] = &untuned();
        let output = tcvit(&[&["visualize", option, model], arguments].concat());
        let error = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{arguments:?}: {error}");
        assert!(!error.contains("panicked") && texts.iter().all(|part| error.contains(part)), "{arguments:?}: {error}");
    };
    fails(&[&chelsea, "-o", &at("out.jpg")], &[".png or .svg", ".jpg"]);
    fails(&[&chelsea, "-o", &at("out")], &[".png or .svg", "no extension"]);
    fails(&[&chelsea, "-o", &at("missing/out.png")], &["there is no folder"]);
    fails(&[&chelsea, "-o", folder.path().to_str().unwrap()], &["that is a folder"]);
    fails(&[&chelsea], &["--output"]);
    fails(&["-o", &png], &["PHOTO"]);
    fails(&[&at("nothing.jpg"), "-o", &png], &["nothing.jpg"]);
    fails(&[&chelsea, "-o", &png, "--condense", "off"], &["drops tokens", "--condense off"]);
    fails(&[&chelsea, "-o", &png, "--drop", "0"], &["drops tokens", "R = 0"]);
    fails(&[&chelsea, "-o", &png, "--matrix", "--score", "dominance", "--weights", "none"], &["--matrix", "forms W"]);
    fails(&[&chelsea, "-o", &png, "--batch", "0"], &["batch"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
