use tcvit::low_level::kernels::similarity::{Bindings, Kind, Params, record};

use crate::{AWKWARD, REAL, buffer, read, run, sweep};

#[test]
fn agrees_at_every_small_size() {
    sweep("similarity", (1..=64).map(|patches| [1 + patches % 3, 1 + patches % 5, patches, 4 * (1 + patches % 7)]));
    sweep("similarity", (1..=33).map(|width4| [1, 1, 1 + width4 % 9, 4 * width4]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep("similarity", AWKWARD.map(|patches| [2, 1, patches, 20]));
    sweep("similarity", REAL.map(|patches| [1, 1, patches, 64]));
    sweep("similarity", [[1, 2, 196, 384], [2, 1, 49, 768], [1, 1, 2048, 4]]);
}

/// A class token, then three tokens, of which two are equal and one is zero.
#[test]
fn has_the_values_that_one_would_write_down() {
    let x = [[9.0f32; 4], [3.0, 4.0, 0.0, 0.0], [3.0, 4.0, 0.0, 0.0], [0.0; 4]].concat();
    let similar = |kind| {
        let y = buffer(&[f32::NAN; 9]);
        let params = Params { prefix: 1, patches: 3, width4: 1 };
        run(|recorder| record(recorder, params, 1, kind, Bindings { x: &buffer(&x), y: &y }));
        read::<f32>(&y, 9)
    };
    assert_eq!(similar(Kind::Dot), [25., 25., 0., 25., 25., 0., 0., 0., 0.]);
    assert_eq!(similar(Kind::Distance), [0., 0., -5., 0., 0., -5., -5., -5., 0.]);
}
