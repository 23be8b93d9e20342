use tcvit::gpu::{Precision, Variant};
use tcvit::kernels::layer_norm::{Bindings, Params, record};
use tcvit::random::Random;
use tcvit::reference::layer_norm::layer_norm;

use crate::{AWKWARD, REAL, buffer, gpu, read, run, sweep_variants};

#[test]
fn agrees_at_every_small_size() {
    sweep_variants("layer_norm", (1..=64).map(|rows| [rows, 4 * (1 + rows % 9)]));
    sweep_variants("layer_norm", (1..=64).map(|width4| [1 + width4 % 10, 4 * width4]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_variants("layer_norm", AWKWARD.map(|rows| [rows, 36]));
    sweep_variants("layer_norm", REAL.into_iter().zip([192, 384, 768, 384]).map(|(rows, width)| [rows, width]));
    sweep_variants("layer_norm", [[9, 512], [7, 1024], [1, 1536], [8, 4096]]);
}

/// Those that run here.
fn variants() -> impl Iterator<Item = Variant> {
    Variant::ALL.into_iter().filter(|variant| variant.available(gpu()))
}

fn normalise(variant: Variant, x: &[f32], width: usize, epsilon: f32) -> (Vec<f32>, Vec<f32>) {
    let (weight, bias) = (vec![1.0; width], vec![0.0; width]);
    let y = buffer(&vec![f32::NAN; x.len()]);
    let params = Params { rows: (x.len() / width) as u32, width4: (width / 4) as u32, epsilon };
    let bindings = Bindings { x: &buffer(x), weight: &buffer(&weight), bias: &buffer(&bias), y: &y, rows: None };
    run(|recorder| record(recorder, variant, Precision::F32, params, bindings));
    (read(&y, x.len()), layer_norm(x, &weight, &bias, epsilon))
}

/// The variance of such a row as E[x^2] - E[x]^2 would be off by 1e8 * 2^-24, six times the variance itself; and a mean
/// that is a float near 1e4 by 1e-3 of the deviation.
#[test]
fn a_large_mean_costs_nothing() {
    let mut worst = 0.0f32;
    for (variant, mean) in variants().flat_map(|variant| [(variant, 1e4), (variant, -1e4)]) {
        let x = Random::named("large mean", 1).tensor(16 * 384, mean, 1.7);
        let (got, twin) = normalise(variant, &x, 384, 1e-6);
        for (got, twin) in got.iter().zip(&twin) {
            worst = worst.max((got - twin).abs());
            assert!((got - twin).abs() <= 2e-6, "{got} for {twin}");
        }
    }
    println!("layer_norm at a mean of 1e4: off by {worst:.1e} at most");
}

/// One element a thousand times the others, as trained networks have them, first in its row and elsewhere.
#[test]
fn an_outlier_costs_nothing() {
    for (variant, at) in variants().flat_map(|variant| [0, 1, 31, 200].map(|at| (variant, at))) {
        let mut x = Random::named("outlier", 1).tensor(9 * 384, 0.0, 1.0);
        x.iter_mut().skip(at).step_by(384).for_each(|value| *value *= 1e3);
        let (got, twin) = normalise(variant, &x, 384, 1e-6);
        let largest = twin.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        for (got, twin) in got.iter().zip(&twin) {
            assert!((got - twin).abs() <= 1e-6 * largest, "{variant:?}, outlier at {at}: {got} for {twin}");
        }
    }
}

#[test]
fn a_row_of_equal_numbers_becomes_the_bias() {
    for (variant, value) in variants().flat_map(|variant| [0.0, 0.1, -1234.5].map(|value| (variant, value))) {
        let (got, _) = normalise(variant, &[value; 256], 64, 1e-12);
        assert!(got.iter().all(|&y| y == 0.0), "{value}: {got:?}");
    }
}

#[test]
fn a_nan_stays_in_its_row() {
    let mut x = Random::named("nan", 1).tensor(19 * 40, 0.0, 1.0);
    x[7 * 40 + 21] = f32::NAN;
    for variant in variants() {
        let (got, _) = normalise(variant, &x, 40, 1e-6);
        for (row, values) in got.chunks_exact(40).enumerate() {
            assert!(values.iter().all(|v| v.is_nan() == (row == 7)), "{variant:?}, row {row}: {values:?}");
        }
    }
}
