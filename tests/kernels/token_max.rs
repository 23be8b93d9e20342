use tcvit::low_level::kernels::token_max::{Bindings, Params, record};

use crate::{AWKWARD, REAL, bits, buffer, read, run, sweep};

#[test]
fn agrees_at_every_small_size() {
    sweep("token_max", (1..=64).map(|patches| [1 + patches % 3, patches, 1 + patches % 5, 65 - patches]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep("token_max", AWKWARD.map(|patches| [2, patches, 2, 10]));
    sweep("token_max", AWKWARD.map(|classes| [3, 2, 1, classes]));
    sweep("token_max", REAL.map(|patches| [1, patches, 1, 1000]));
}

/// Logits that are negative, infinite or NaN, and prefix tokens whose logits are larger than all others.
#[test]
fn the_largest_of_each_class_is_added() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let x = [
        [9.0, 9.0, nan, 9.0, 9.0], // the class token
        [-3.0, -inf, 1.0, nan, 2.0],
        [-1.0, -inf, inf, 5.0, nan],
        [-2.0, -inf, 0.0, 1.0, 7.0],
    ];
    let y = buffer(&[10.0f32, 0.0, 0.0, 0.0, 0.0]);
    let params = Params { images: 1, tokens: 4, prefix: 1, classes: 5, share: 0.5 };
    run(|recorder| record(recorder, params, Bindings { x: &buffer(x.as_flattened()), y: &y }));
    let got: Vec<f32> = read(&y, 5);
    assert_eq!(bits(&got[..3]), bits(&[9.5, -inf, inf]), "{got:?}");
    assert!(got[3].is_nan() && got[4].is_nan(), "{got:?}");
}
