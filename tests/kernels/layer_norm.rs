use tcvit::low_level::gpu::{Precision, Recorder, Way};
use tcvit::low_level::kernels::layer_norm::{Bindings, Call, Params, record};
use tcvit::low_level::random::Random;
use tcvit::low_level::reference::layer_norm::layer_norm;

use crate::{AWKWARD, REAL, buffer, gpu, read, run, sweep_ways, ways};

#[test]
fn agrees_at_every_small_size() {
    sweep_ways("layer_norm", (1..=64).map(|rows| [rows, 4 * (1 + rows % 9)]));
    sweep_ways("layer_norm", (1..=64).map(|width4| [1 + width4 % 10, 4 * width4]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_ways("layer_norm", AWKWARD.map(|rows| [rows, 36]));
    sweep_ways("layer_norm", REAL.into_iter().zip([192, 384, 768, 384]).map(|(rows, width)| [rows, width]));
    sweep_ways("layer_norm", [[9, 512], [7, 1024], [1, 1536], [8, 4096]]);
}

/// The result of every way for `x`, and of the reference.
#[allow(clippy::type_complexity, reason = "read once")]
fn normalise(x: &[f32], width: usize, epsilon: f32) -> (Vec<(&'static Way<Call>, Vec<f32>)>, Vec<f32>) {
    let (weight, bias) = (vec![1.0; width], vec![0.0; width]);
    let params = Params { rows: (x.len() / width) as u32, width4: (width / 4) as u32, epsilon };
    let call = Call { params, output: Precision::F32, gathers: false };
    let made = |way| {
        let y = buffer(&vec![f32::NAN; x.len()]);
        let bindings = Bindings { x: &buffer(x), weight: &buffer(&weight), bias: &buffer(&bias), y: &y, rows: None };
        run(|recorder| record(recorder, way, call, bindings));
        (way, read(&y, x.len()))
    };
    (ways(&call).into_iter().map(made).collect(), layer_norm(x, &weight, &bias, epsilon))
}

/// Computed as E[x^2] - E[x]^2, the variance of such a row would be off by 1e8 * 2^-24, which is six times the
/// variance. A mean stored as one float near 1e4 would be off by 1e-3 of the standard deviation.
#[test]
fn a_large_mean_costs_nothing() {
    let mut worst = 0.0f32;
    for mean in [1e4, -1e4] {
        let x = Random::named("large mean", 1).tensor(16 * 384, mean, 1.7);
        let (made, expected) = normalise(&x, 384, 1e-6);
        for (way, got) in made {
            for (got, expected) in got.iter().zip(&expected) {
                worst = worst.max((got - expected).abs());
                assert!((got - expected).abs() <= 2e-6, "{way:?}: {got} for {expected}");
            }
        }
    }
    println!("layer_norm at a mean of 1e4: off by {worst:.1e} at most");
}

/// One element is a thousand times the others, as in trained networks. It is the first of its row, or a later one.
#[test]
fn an_outlier_costs_nothing() {
    for at in [0, 1, 31, 200] {
        let mut x = Random::named("outlier", 1).tensor(9 * 384, 0.0, 1.0);
        x.iter_mut().skip(at).step_by(384).for_each(|value| *value *= 1e3);
        let (made, expected) = normalise(&x, 384, 1e-6);
        let largest = expected.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        for (way, got) in made {
            for (got, expected) in got.iter().zip(&expected) {
                let right = (got - expected).abs() <= 1e-6 * largest;
                assert!(right, "{way:?}, outlier at {at}: {got} for {expected}");
            }
        }
    }
}

#[test]
fn a_row_of_equal_numbers_becomes_the_bias() {
    for value in [0.0, 0.1, -1234.5] {
        for (way, got) in normalise(&[value; 256], 64, 1e-12).0 {
            assert!(got.iter().all(|&y| y == 0.0), "{way:?}, {value}: {got:?}");
        }
    }
}

#[test]
fn a_nan_stays_in_its_row() {
    let mut x = Random::named("nan", 1).tensor(19 * 40, 0.0, 1.0);
    x[7 * 40 + 21] = f32::NAN;
    for (way, got) in normalise(&x, 40, 1e-6).0 {
        for (row, values) in got.chunks_exact(40).enumerate() {
            assert!(values.iter().all(|v| v.is_nan() == (row == 7)), "{way:?}, row {row}: {values:?}");
        }
    }
}

#[test]
fn rows_to_gather_are_asked_for() {
    let x = buffer(&[0.0f32; 64]);
    let params = Params { rows: 4, width4: 4, epsilon: 1e-6 };
    let call = Call { params, output: Precision::F32, gathers: true };
    for way in ways(&call) {
        let bindings = Bindings { x: &x, weight: &x, bias: &x, y: &buffer(&[0.0f32; 64]), rows: None };
        let error = record(&mut Recorder::new(gpu()), way, call, bindings).unwrap_err().to_string();
        assert!(error.contains("rows to gather"), "{error}");
    }
}
