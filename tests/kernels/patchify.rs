use tcvit::low_level::gpu::Precision;
use tcvit::low_level::kernels::patchify::{Bindings, Params, record};

use crate::{buffer, read, run, sweep};

#[test]
fn agrees_at_every_small_size() {
    sweep("patchify", (1..=64).map(|across| [1 + across % 3, 3, 1 + across % 5, across, 1 + across % 4]));
    sweep("patchify", (1..=20).map(|patch| [1 + patch % 2, 1 + patch % 7, 1 + patch % 5, 1 + patch % 3, patch]));
}

#[test]
fn agrees_at_real_sizes() {
    let square = [[2, 3, 14, 16], [1, 3, 7, 32], [1, 3, 24, 16], [1, 3, 37, 14], [3, 3, 28, 8], [2, 64, 14, 8]];
    sweep("patchify", square.map(|[images, channels, across, patch]| [images, channels, across, across, patch]));
    sweep("patchify", [[2, 3, 14, 20, 16], [1, 3, 37, 9, 14]]);
}

#[test]
fn pixels_come_by_channel_then_line_and_the_rest_is_zero() {
    // A 4 x 4 image is cut into patches of 2. The second patch is the top right one.
    let pixels: Vec<f32> = (0..48).map(|i| i as f32).collect();
    let patches = buffer(&[f32::NAN; 64]);
    let params = Params { images: 1, channels: 3, height: 4, width: 4, patch_side: 2, stride4: 4 };
    run(|recorder| record(recorder, Precision::F32, params, Bindings { pixels: &buffer(&pixels), patches: &patches }));
    let got: Vec<f32> = read(&patches, 64);
    let expected = [2, 3, 6, 7, 18, 19, 22, 23, 34, 35, 38, 39, 0, 0, 0, 0].map(|i| i as f32);
    assert_eq!(got[16..32], expected);
}
