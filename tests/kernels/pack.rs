//! `shared/pack_*.wgsl`: numbers stored in f16 are rounded to nearest, on drivers whose pack2x16float rounds to nearest
//! and on those where it truncates. The test uses `patchify`, which only copies.

use half::f16;
use tcvit::low_level::gpu::{Context, Precision, Recorder, download, empty, upload};
use tcvit::low_level::kernels::patchify::{Bindings, Params, record};

use crate::broken::{open, write_shaders};

const SIDE: usize = 256;

/// A `pack2x16float` that truncates, and turns larger numbers into the largest f16.
const CUT: &str = "
fn cut(value: vec2<f32>) -> u32 {
    let whole = bitcast<vec2<f32>>(bitcast<vec2<u32>>(value) & vec2(0xffffe000u));
    let small = trunc(value * 16777216.0) / 16777216.0;
    let finite = clamp(select(whole, small, abs(value) < vec2(0.00006103515625)), vec2(-65504.0), vec2(65504.0));
    return pack2x16float(select(finite, value, (bitcast<vec2<u32>>(value) & vec2(0x7fffffffu)) >= vec2(0x7f800000u)));
}";

/// Every f16, the number half way to the next f16, and the two floats next to half way; also numbers past the largest
/// f16.
fn values() -> Vec<f32> {
    (0..=u16::MAX)
        .flat_map(|bits| {
            let bits = if bits & 0x7c00 == 0x7c00 { bits & 0x8000 | 0x7bff } else { bits };
            let (own, next) = (f16::from_bits(bits).to_f32(), f16::from_bits(bits + 1).to_f32());
            let next = if next.is_finite() { next } else { 65536f32.copysign(own) };
            let half = (own + next) / 2.0;
            [own, half, f32::from_bits(half.to_bits() - 1), f32::from_bits(half.to_bits() + 1)]
        })
        .chain([65519.0, 65520.0, 65536.0, 1e6, -1e6, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -0.0])
        .collect()
}

fn stored(gpu: &Context, values: &[f32]) -> Vec<f16> {
    let mut pixels = values.to_vec();
    pixels.resize(values.len().next_multiple_of(SIDE * SIDE), 0.0);
    let images = (pixels.len() / (SIDE * SIDE)) as u32;
    let params = Params {
        images,
        channels: 1,
        height: SIDE as u32,
        width: SIDE as u32,
        patch_side: SIDE as u32,
        stride4: (SIDE * SIDE / 4) as u32,
    };
    let (pixels, patches) = (upload(gpu, "pixels", &pixels).unwrap(), empty(gpu, "patches", pixels.len() / 2).unwrap());
    let mut recorder = Recorder::new(gpu);
    record(&mut recorder, Precision::F16, params, Bindings { pixels: &pixels, patches: &patches }).unwrap();
    recorder.finish().unwrap().submit(gpu).unwrap();
    let mut stored: Vec<f16> = download(gpu, &patches, images as usize * SIDE * SIDE).unwrap();
    stored.truncate(values.len());
    stored
}

/// How many are not rounded to nearest, ties to even. Below 2^-14 a number is right if it is one of the two neighbours.
fn wrong(gpu: &Context) -> usize {
    let values = values();
    let is_right = |(&value, got): (&f32, f16)| {
        let nearest = f16::from_f32(value);
        let is_small = value.abs() < f16::MIN_POSITIVE.to_f32();
        got.to_bits() == nearest.to_bits()
            || (value.is_nan() && got.is_nan())
            || (is_small && (got.to_f32() - value).abs() <= 2f32.powi(-24))
    };
    values.iter().zip(stored(gpu, &values)).filter(|&pair| !is_right(pair)).count()
}

#[test]
fn this_driver_stores_f16_rounded_to_nearest() {
    assert_eq!(wrong(crate::gpu()), 0);
}

#[test]
fn a_driver_that_cuts_stores_f16_rounded_to_nearest() {
    let text = |path: &str| tcvit::low_level::gpu::SHADERS.iter().find(|shader| shader.0 == path).unwrap().1;
    let cutting = |path: &str| text(path).replace("pack2x16float(", "cut(") + CUT;
    let (rounded, trusted) = ("shared/pack_cutting.wgsl", "shared/pack_rounding.wgsl");
    // Both shaders get this text, so that the device uses it whichever of the two it needs.
    let wrong_with = |pack: String| {
        let folder = tempfile::tempdir().unwrap();
        write_shaders(folder.path(), &[]);
        std::fs::write(folder.path().join(rounded), &pack).unwrap();
        std::fs::write(folder.path().join(trusted), &pack).unwrap();
        wrong(&open(folder.path()))
    };
    assert_eq!(wrong_with(cutting(rounded)), 0);
    assert_eq!(wrong_with(text(rounded).to_owned()), 0);
    let most = values().len();
    let wrong = wrong_with(cutting(trusted));
    assert!(wrong > most / 3, "{wrong} of {most}: this would prove nothing");
}
