//! Safetensors headers that are cut short, contradict the file, or are noise.

use std::cell::Cell;

use proptest::prelude::{ProptestConfig, any, prop};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tcvit::low_level::weights::Checkpoint;

use crate::support::checkpoint::{Tiny, header_of, load};
use crate::support::small::refused;

fn parse(bytes: Vec<u8>) -> tcvit::Result<Checkpoint> {
    Checkpoint::from_bytes(bytes, "tiny.safetensors")
}

/// The bytes of the valid checkpoint with a changed header.
fn bent(change: impl Fn(&mut Value)) -> Vec<u8> {
    let tiny = Tiny::valid();
    let mut header = tiny.header();
    change(&mut header);
    tiny.bytes_under(&header.to_string())
}

#[test]
fn the_unbroken_one_loads() {
    Tiny::valid().load(None).unwrap();
    load(bent(|_| ()), None).unwrap();
}

#[test]
fn every_truncation_is_refused() {
    let bytes = Tiny::valid().bytes();
    let data = 8 + header_of(&bytes).len();
    let lengths = (0..data).chain((data..bytes.len()).step_by(997)).chain([bytes.len() - 1]);
    for length in lengths {
        let result = parse(bytes[..length].to_vec());
        assert!(matches!(result, Err(tcvit::Error::Weights { .. })), "{length} of {} bytes", bytes.len());
    }
    refused(parse(Vec::new()), "Weights", &["tiny.safetensors", "0 bytes"]);
    refused(parse(bytes[..7].to_vec()), "Weights", &["tiny.safetensors", "7 bytes"]);
    refused(parse(bytes[..bytes.len() - 1].to_vec()), "Weights", &["tiny.safetensors", "a whole safetensors file"]);
    // One byte too many is refused as well, since it belongs to no tensor.
    refused(parse([&bytes[..], &[0]].concat()), "Weights", &["tiny.safetensors"]);
}

#[test]
fn a_header_length_that_lies_is_refused() {
    let bytes = Tiny::valid().bytes();
    let right = header_of(&bytes).len() as u64;
    for length in [0, 1, right - 1, right + 1, bytes.len() as u64 - 8, bytes.len() as u64, 1 << 30, 1 << 63, u64::MAX] {
        let mut lying = bytes.clone();
        lying[..8].copy_from_slice(&length.to_le_bytes());
        refused(parse(lying), "Weights", &["tiny.safetensors", "a whole safetensors file"]);
    }
}

#[test]
fn offsets_that_lie_are_refused() {
    let offsets = |begin: u64, end: u64| bent(move |header| header["head.bias"]["data_offsets"] = json!([begin, end]));
    // In turn: over another tensor, backwards, empty, past the end, and at the end of the address space.
    for (begin, end) in [(0, 20), (40, 20), (20, 20), (1 << 40, (1 << 40) + 20), (0, u64::MAX), (u64::MAX, u64::MAX)] {
        refused(parse(offsets(begin, end)), "Weights", &["tiny.safetensors"]);
    }
}

/// Each tensor has the length that its offsets give, but together they overflow the address space.
#[test]
fn lengths_whose_sum_overflows_are_refused() {
    let each = (1u64 << 61) - 1;
    let tensors = (0..8).map(|i| {
        let info = json!({ "dtype": "U8", "shape": [each], "data_offsets": [i * each, (i + 1) * each] });
        (format!("tensor.{i}"), info)
    });
    let header = Value::Object(tensors.collect()).to_string();
    refused(parse(Tiny::valid().bytes_under(&header)), "Weights", &["tiny.safetensors"]);
}

#[test]
fn shapes_that_lie_are_refused() {
    let shapes =
        [json!([6]), json!([0]), json!([]), json!([u64::MAX]), json!([u64::MAX, u64::MAX]), json!([-5]), json!(5)];
    for shape in shapes {
        let bytes = bent(|header| header["head.bias"]["shape"] = shape.clone());
        refused(parse(bytes), "Weights", &["tiny.safetensors"]);
    }
    refused(parse(bent(|header| header["head.bias"]["dtype"] = json!("F17"))), "Weights", &["F17"]);
    refused(parse(bent(|header| header["head.bias"]["dtype"] = json!("F16"))), "Weights", &["tiny.safetensors"]);
    refused(parse(bent(|header| drop(header.as_object_mut().unwrap().remove("head.bias")))), "Weights", &[]);
}

#[test]
fn a_header_that_is_not_json_is_refused() {
    let deep = "[".repeat(100_000);
    for header in ["", "{", "[]", "null", "\"x\"", "{\"a\": 1}", "{\"a\": {}}", "\u{0}\u{0}", &deep] {
        refused(parse(Tiny::valid().bytes_under(header)), "Weights", &["tiny.safetensors"]);
    }
    let mut bytes = Tiny::valid().bytes();
    bytes[20] = 0xFF;
    refused(parse(bytes), "Weights", &["tiny.safetensors", "utf-8"]);
}

/// Replacing bytes of the header by random ones gives an error or a model, never a panic.
#[test]
fn noise_in_the_header_never_panics() {
    let bytes = Tiny::valid().bytes();
    let end = 8 + header_of(&bytes).len();
    let flips = prop::collection::vec((0..end, any::<u8>()), 1..4);
    let loaded = Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig { cases: 1500, failure_persistence: None, ..Default::default() });
    runner
        .run(&flips, |flips| {
            let mut noisy = bytes.clone();
            flips.into_iter().for_each(|(at, byte)| noisy[at] = byte);
            match load(noisy, None) {
                Ok(_) => loaded.set(loaded.get() + 1),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
            Ok(())
        })
        .unwrap();
    let loaded = loaded.get();
    assert!(loaded < 1500 / 2, "most noise must be refused, but {loaded} of 1500 loaded");
}

/// Replaces digits by digits, which random bytes rarely do, so that the JSON stays valid.
#[test]
fn other_digits_in_the_header_never_panic() {
    let bytes = Tiny::valid().bytes();
    let digits: Vec<usize> = (8..8 + header_of(&bytes).len()).filter(|&at| bytes[at].is_ascii_digit()).collect();
    let flips = prop::collection::vec((0..digits.len(), b'0'..=b'9'), 1..3);
    let mut runner = TestRunner::new(ProptestConfig { cases: 1500, failure_persistence: None, ..Default::default() });
    runner
        .run(&flips, |flips| {
            let mut noisy = bytes.clone();
            flips.into_iter().for_each(|(at, byte)| noisy[digits[at]] = byte);
            if let Err(error) = load(noisy, None) {
                assert!(matches!(error, tcvit::Error::Weights { .. } | tcvit::Error::Config { .. }), "{error}");
            }
            Ok(())
        })
        .unwrap();
}
