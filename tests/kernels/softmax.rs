use tcvit::low_level::gpu::Way;
use tcvit::low_level::kernels::softmax::{Bindings, Call, Params, record};
use tcvit::low_level::random::Random;

use crate::{AWKWARD, REAL, buffer, read, run, sweep_ways, ways};

#[test]
fn agrees_at_every_small_size() {
    sweep_ways("softmax", (1..=64).map(|columns| [1 + columns % 11, columns]));
    sweep_ways("softmax", (1..=64).map(|rows| [rows, 1 + rows % 13]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_ways("softmax", AWKWARD.map(|columns| [9, columns]));
    sweep_ways("softmax", AWKWARD.map(|rows| [rows, 9]));
    sweep_ways("softmax", REAL.map(|columns| [197, columns]));
    sweep_ways("softmax", [[2364, 197], [8, 2048], [3, 4099]]);
}

/// The result of every way for `x`.
fn softmax(x: &[f32], columns: usize) -> Vec<(&'static Way<Call>, Vec<f32>)> {
    let params =
        Params { rows: (x.len() / columns) as u32, columns: columns as u32, stride: columns as u32, scale: 1.0 };
    let call = Call { params };
    let made = |way| {
        let result = buffer(x);
        run(|recorder| record(recorder, way, call, Bindings { x: &result }));
        (way, read(&result, x.len()))
    };
    ways(&call).into_iter().map(made).collect()
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
    for (way, got) in softmax(&x, columns) {
        for (row, probs) in got.chunks_exact(columns).enumerate() {
            assert!(probs.iter().all(|p| (0.0..=1.0).contains(p)), "{way:?}, row {row}: {probs:?}");
            let sum: f64 = probs.iter().map(|&p| f64::from(p)).sum();
            assert!((sum - 1.0).abs() <= 1e-5, "{way:?}, row {row} sums to {sum}");
        }
        for row in [1, 2] {
            let even = 1.0 / columns as f32;
            assert!(got[row * columns..][..columns].iter().all(|p| (p - even).abs() <= 1e-8), "{way:?}, row {row}");
        }
        let certain: Vec<f32> = (0..columns).map(|i| if i == 5 { 1.0 } else { 0.0 }).collect();
        assert_eq!(got[3 * columns..4 * columns], certain, "{way:?}");
    }
}

#[test]
fn a_nan_stays_in_its_row() {
    let mut x = Random::named("nan", 1).tensor(19 * 21, 0.0, 1.0);
    x[7 * 21 + 11] = f32::NAN;
    for (way, got) in softmax(&x, 21) {
        for (row, probs) in got.chunks_exact(21).enumerate() {
            assert!(probs.iter().all(|p| p.is_nan() == (row == 7)), "{way:?}, row {row}: {probs:?}");
        }
    }
}
