use tcvit::gpu::Variant;
use tcvit::kernels::softmax::{Bindings, Params, record};
use tcvit::random::Random;

use crate::{AWKWARD, REAL, buffer, gpu, read, run, sweep_variants};

#[test]
fn agrees_at_every_small_size() {
    sweep_variants("softmax", (1..=64).map(|columns| [1 + columns % 11, columns]));
    sweep_variants("softmax", (1..=64).map(|rows| [rows, 1 + rows % 13]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_variants("softmax", AWKWARD.map(|columns| [9, columns]));
    sweep_variants("softmax", AWKWARD.map(|rows| [rows, 9]));
    sweep_variants("softmax", REAL.map(|columns| [197, columns]));
    sweep_variants("softmax", [[2364, 197], [8, 2048], [3, 4099]]);
}

/// Those that run here.
fn variants() -> impl Iterator<Item = Variant> {
    Variant::ALL.into_iter().filter(|variant| variant.available(gpu()))
}

fn softmax(variant: Variant, x: &[f32], columns: usize) -> Vec<f32> {
    let result = buffer(x);
    let params =
        Params { rows: (x.len() / columns) as u32, columns: columns as u32, stride: columns as u32, scale: 1.0 };
    run(|recorder| record(recorder, variant, params, Bindings { x: &result }));
    read(&result, x.len())
}

#[test]
fn huge_logits_give_probabilities() {
    let mut random = Random::named("huge logits", 1);
    let columns = 197;
    let mut x = random.tensor(5 * columns, 0.0, 1e4);
    x[columns..2 * columns].fill(1e4);
    x[2 * columns..3 * columns].fill(-1e4);
    x[3 * columns..4 * columns].copy_from_slice(&random.tensor(columns, -1e4, 1.0));
    x[3 * columns + 5] = 1e4;
    x[4 * columns..].copy_from_slice(&random.tensor(columns, 1e4, 1.0));
    for variant in variants() {
        let got = softmax(variant, &x, columns);
        for (row, probs) in got.chunks_exact(columns).enumerate() {
            assert!(probs.iter().all(|p| (0.0..=1.0).contains(p)), "row {row}: {probs:?}");
            let sum: f64 = probs.iter().map(|&p| f64::from(p)).sum();
            assert!((sum - 1.0).abs() <= 1e-5, "row {row} sums to {sum}");
        }
        for row in [1, 2] {
            let even = 1.0 / columns as f32;
            assert!(got[row * columns..][..columns].iter().all(|p| (p - even).abs() <= 1e-8), "row {row}");
        }
        let certain: Vec<f32> = (0..columns).map(|i| if i == 5 { 1.0 } else { 0.0 }).collect();
        assert_eq!(got[3 * columns..4 * columns], certain);
    }
}

#[test]
fn a_nan_stays_in_its_row() {
    let mut x = Random::named("nan", 1).tensor(19 * 21, 0.0, 1.0);
    x[7 * 21 + 11] = f32::NAN;
    for variant in variants() {
        for (row, probs) in softmax(variant, &x, 21).chunks_exact(21).enumerate() {
            assert!(probs.iter().all(|p| p.is_nan() == (row == 7)), "row {row}: {probs:?}");
        }
    }
}
