use tcvit::low_level::kernels::uniqueness::{Bindings, Call, Params, record};

use crate::{AWKWARD, REAL, bits, buffer, read, run, sweep, ways};

#[test]
fn agrees_at_every_small_size() {
    sweep("uniqueness", (1..=64).map(|patches| [1 + patches % 3, patches]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep("uniqueness", AWKWARD.map(|patches| [2, patches]));
    sweep("uniqueness", REAL.map(|patches| [1, patches]));
    sweep("uniqueness", [[1, 2047], [1, 2048]]);
}

fn score(cosine: &[f32], dominance: &[f32], exponent: f32) -> Vec<f32> {
    score_of_sizes(cosine, dominance, &vec![1.0; dominance.len()], (exponent, 0.5))
}

/// The scores that every way computes; they must agree to the bit.
fn score_of_sizes(cosine: &[f32], dominance: &[f32], sizes: &[f32], exponents: (f32, f32)) -> Vec<f32> {
    let (exponent, size_exponent) = exponents;
    let params = Params { patches: dominance.len() as u32, prefix: 1, exponent, size_exponent };
    let sizes = [&[9.0], sizes].concat();
    let (cosine, dominance_buffer) = (buffer(cosine), buffer(dominance));
    let call = Call { params, images: 1 };
    let mut made = ways(&call).into_iter().map(|way| {
        let score = buffer(&vec![f32::NAN; dominance.len()]);
        let bindings =
            Bindings { cosine: &cosine, dominance: &dominance_buffer, sizes: &buffer(&sizes), score: &score };
        run(|recorder| record(recorder, way, call, bindings));
        read(&score, dominance.len())
    });
    let first: Vec<f32> = made.next().unwrap();
    // The number of rows that are read side by side changes no bit, because the largest of several cosines does not
    // depend on order.
    assert!(made.all(|other: Vec<f32>| bits(&other) == bits(&first)));
    first
}

#[test]
fn of_two_twins_the_less_dominant_one_scores_nothing() {
    // Tokens 0 and 2 are equal, and token 1 is unlike both.
    let cosine = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0];
    assert_eq!(score(&cosine, &[0.5, 0.25, 0.125], 1.0), [1.0, 0.25, 0.0]);
    assert_eq!(score(&cosine, &[0.125, 0.25, 0.5], 1.0), [0.0, 0.25, 1.0]);
    // With equal dominances, the lower index outranks.
    assert_eq!(score(&cosine, &[0.25, 0.25, 0.25], 1.0), [0.5, 0.25, 0.0]);
    assert_eq!(score(&cosine, &[0.25, 0.25, 0.25], 0.0), [2.0, 1.0, 0.0]);
}

#[test]
fn no_dominance_scores_nothing_and_nan_scores_nan() {
    let cosine = [1.0, 0.5, 0.5, 1.0];
    assert_eq!(score(&cosine, &[0.0, 0.25], 1.0), [0.0, 0.5]);
    assert_eq!(score(&cosine, &[0.0, 0.25], 0.0), [0.5, 2.0]);
    for exponent in [0.0, 0.5, 1.0] {
        let got = score(&cosine, &[f32::NAN, 0.0], exponent);
        assert!(got[0].is_nan() && !got[1].is_nan(), "{got:?}");
    }
}

#[test]
fn a_token_that_stands_for_many_scores_more() {
    let (cosine, dominance) = ([1.0, 0.5, 0.5, 1.0], [0.25, 0.125]);
    for (exponents, expected) in [((0.0, 0.5), [4.0, 2.0]), ((1.0, 1.0), [2.0, 1.0]), ((0.0, 0.0), [2.0, 0.5])] {
        let got = score_of_sizes(&cosine, &dominance, &[4.0, 16.0], exponents);
        // A power in WGSL is not exact: on an H200, 1.0000001 for 1.
        assert!(
            got.iter().zip(expected).all(|(got, expected)| (got / expected - 1.0).abs() <= f32::EPSILON),
            "{exponents:?}: {got:?}"
        );
    }
}
