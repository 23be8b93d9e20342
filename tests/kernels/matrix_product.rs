use tcvit::low_level::kernels::matrix_product::{Bindings, Params, record};

use crate::{AWKWARD, buffer, read, run, sweep};

#[test]
fn agrees_at_every_small_size() {
    sweep("matrix_product", (1..=64).map(|patches| [1 + patches % 3, patches]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep("matrix_product", AWKWARD.map(|patches| [1, patches]));
    sweep("matrix_product", [[2, 196], [1, 197], [1, 577]]);
}

#[test]
fn without_the_product_its_factors_are_not_looked_at() {
    let nan = buffer(&[f32::NAN; 25]);
    let addend: Vec<f32> = (0..25).map(|i| i as f32).collect();
    let y = buffer(&[f32::NAN; 25]);
    let params = Params { patches: 5, product: 0.0, addend: -2.0, identity: 1.0 };
    let bindings = Bindings { x: &nan, z: &nan, addend: &buffer(&addend), y: &y };
    run(|recorder| record(recorder, params, 1, bindings));
    let expected: Vec<f32> = (0..25).map(|i| -2.0 * i as f32 + if i % 6 == 0 { 1.0 } else { 0.0 }).collect();
    assert_eq!(read::<f32>(&y, 25), expected);
}
