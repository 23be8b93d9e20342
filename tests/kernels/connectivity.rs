use tcvit::Error;
use tcvit::low_level::gpu::Recorder;
use tcvit::low_level::kernels::connectivity::{Bindings, Chain, MOST_PATCHES, Params, Part, record};
use tcvit::low_level::random::Random;

use crate::{AWKWARD, bits, buffer, gpu, read, run, sweep};

const ORDERS: [usize; 6] = [1, 2, 3, 4, 8, 32];

#[test]
fn agrees_at_every_small_size_and_order() {
    // The numbers of terms of Newton's series are 1, 2, 4 and 8, for 0 to 3 steps. Each is combined with each order at
    // some near size.
    let orders =
        |n: usize| ORDERS.into_iter().enumerate().map(move |(i, order)| [1 + n % 2, n, order, 1 << ((n + i) % 4)]);
    sweep("connectivity", (1..=64).flat_map(orders));
}

#[test]
fn agrees_for_every_order_and_number_of_steps() {
    for n in [1, 5, 49] {
        let steps = |order| [1, 2, 4, 8].map(|terms| [2, n, order, terms]);
        sweep("connectivity", [1, 2, 4].into_iter().flat_map(steps));
    }
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep("connectivity", AWKWARD.map(|n| [1, n, 2, 1]));
    sweep("connectivity", [[2, 196, 2, 1], [1, 196, 4, 4], [1, 196, 32, 1], [1, 197, 1, 8], [1, 577, 1, 1]]);
}

/// `part` of C for `w`, as the kernel computes it: for the listed rows, or the mean.
fn make(w: &wgpu::Buffer, n: usize, chain: Chain, part: Part, list: &[u32]) -> Vec<f32> {
    let (params, len) = match part {
        Part::Rows => (Params::listed(n, list.len(), list.len(), 0, chain), list.len() * n),
        Part::Diagonal => (Params::listed(n, list.len(), list.len(), 0, chain), list.len()),
        Part::ColumnMean | Part::RowMean => (Params::mean(n, chain), n),
    };
    let result = buffer(&vec![f32::NAN; len]);
    run(|recorder| record(recorder, params, 1, part, Bindings { w, list: &buffer(list), result: &result }));
    read(&result, len)
}

fn assert_near(got: &[f32], expected: impl IntoIterator<Item = f64>, tolerance: f64, what: &str) {
    let expected: Vec<f64> = expected.into_iter().collect();
    assert_eq!(got.len(), expected.len());
    for (j, (&got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs() / expected.abs();
        assert!(error <= tolerance, "{what}, element {j}: {got:e} for {expected:e}, off by {error:e}");
    }
}

/// W = u v^T, so W^k = (v . u)^(k-1) W, and C is a geometric series times W. This tests sizes at which a dense C would
/// take too long here.
#[test]
fn the_power_sum_of_a_matrix_of_rank_one_is_a_geometric_series() {
    for (n, order, alpha) in [(577, 32, 500.0), (1370, 6, 500.0), (2047, 2, 0.5), (2048, 3, 500.0)] {
        let mut random = Random::named("rank one", n as u64);
        let u = random.tensor(n, 0.5, 0.4);
        let v: Vec<f32> = random.tensor(n, 1.0, 0.9).iter().map(|v| v / n as f32).collect();
        let w: Vec<f32> = u.iter().flat_map(|u| v.iter().map(move |v| u * v)).collect();
        let (u, v) = (u.map_f64(), v.map_f64());
        let dot: f64 = u.iter().zip(&v).map(|(u, v)| u * v).sum();
        let chain = Chain { order, alpha, newton_steps: None };
        let scale = f64::from(alpha).max(1.0);
        let factor: f64 =
            (0..order as i32).map(|k| (f64::from(alpha) * dot).powi(k) / scale.powi(order as i32 - 1)).sum();
        // All numbers are positive, and their rounding errors behave as if independent.
        let tolerance = f64::from(order) * (n as f64).sqrt() * 2f64.powi(-23);
        let (mean_u, mean_v) = (u.iter().sum::<f64>() / n as f64, v.iter().sum::<f64>() / n as f64);
        let what = format!("n {n}, order {order}, a {alpha}");
        let w = buffer(&w);
        let list = [n as u32 - 1];
        let rows = make(&w, n, chain, Part::Rows, &list);
        let expected = list.iter().flat_map(|&q| v.iter().map(|v| factor * u[q as usize] * v).collect::<Vec<f64>>());
        assert_near(&rows, expected, tolerance, &format!("rows, {what}"));
        let diagonal = make(&w, n, chain, Part::Diagonal, &list);
        let expected = list.iter().map(|&p| factor * u[p as usize] * v[p as usize]);
        assert_near(&diagonal, expected, tolerance, &format!("diagonal, {what}"));
        let columns = make(&w, n, chain, Part::ColumnMean, &[0]);
        assert_near(&columns, v.iter().map(|v| factor * mean_u * v), tolerance, &format!("column mean, {what}"));
        let rows = make(&w, n, chain, Part::RowMean, &[0]);
        assert_near(&rows, u.iter().map(|u| factor * u * mean_v), tolerance, &format!("row mean, {what}"));
    }
}

trait MapF64 {
    fn map_f64(&self) -> Vec<f64>;
}

impl MapF64 for Vec<f32> {
    fn map_f64(&self) -> Vec<f64> {
        self.iter().map(|&v| f64::from(v)).collect()
    }
}

/// W = w J, where J is all ones. Every matrix is then p I + q J, because J J = n J.
#[test]
fn newton_on_an_even_matrix_follows_two_numbers() {
    type Pair = (f64, f64);
    for (n, order, steps, alpha) in [(577, 2, 3, 500.0), (577, 4, 2, 0.5), (1370, 1, 2, 500.0), (2048, 1, 1, 500.0)] {
        // A power of two, so that a w has the same value in f32 as in f64.
        let even = 0.5f64.powi(12);
        let times = |(p, q): Pair, (r, s): Pair| (p * r, p * s + q * r + n as f64 * q * s);
        let sum = |(p, q): Pair, (r, s): Pair| (p + r, q + s);
        let scaled = |factor: f64, (p, q): Pair| (factor * p, factor * q);
        let (identity, w, alpha64) = ((1.0, 0.0), (0.0, even), f64::from(alpha));
        let scale = alpha64.max(1.0);
        let a = sum(identity, scaled(-alpha64, w));
        let mut x = (1.0 / (1.0 - alpha64 * even), 0.0);
        for _ in 0..steps {
            x = sum(x, times(x, sum(identity, scaled(-1.0, times(a, x)))));
        }
        let power = (0..order).fold(identity, |power, _| times(power, w));
        let exponent = order as i32;
        let rest = sum(scaled(scale.powi(-exponent), identity), scaled(-(alpha64 / scale).powi(exponent), power));
        let (p, q) = times(times(w, rest), x);

        let chain = Chain { order, alpha, newton_steps: Some(steps) };
        let w = buffer(&vec![even as f32; n * n]);
        // Sums of equal numbers round in the same direction at every step. This is the worst case: n / 2 roundings for
        // each product.
        let products = f64::from(order + (1 << steps) + 1);
        let tolerance = products * n as f64 / 2.0 * 2f64.powi(-24);
        let what = format!("n {n}, order {order}, {steps} steps, a {alpha}");
        let list = [n as u32 / 2];
        let rows = make(&w, n, chain, Part::Rows, &list);
        let expected = list.iter().flat_map(|&row| (0..n).map(move |j| if j == row as usize { p + q } else { q }));
        assert_near(&rows, expected, tolerance, &format!("rows, {what}"));
        assert_near(&make(&w, n, chain, Part::Diagonal, &list), [p + q], tolerance, &format!("diagonal, {what}"));
        for part in [Part::ColumnMean, Part::RowMean] {
            let mean = vec![q + p / n as f64; n];
            assert_near(&make(&w, n, chain, part, &[0]), mean, tolerance, &format!("{part:?}, {what}"));
        }
    }
}

#[test]
fn at_order_one_rows_are_those_of_w_to_the_bit() {
    let n = 131;
    let w = Random::named("w", 1).tensor(n * n, 0.5, 0.5);
    let list = [130, 0, 64, 64];
    let (rows, diagonal) = {
        let w = buffer(&w);
        (make(&w, n, Chain::IDENTITY, Part::Rows, &list), make(&w, n, Chain::IDENTITY, Part::Diagonal, &list))
    };
    for (place, &row) in list.iter().enumerate() {
        let expected = &w[row as usize * n..][..n];
        assert_eq!(bits(&rows[place * n..][..n]), bits(expected));
        assert_eq!(diagonal[place].to_bits(), expected[row as usize].to_bits());
    }
}

/// Without the kernel's scale, the sum of 32 powers at a = 500 would reach 500^31.
#[test]
fn the_paper_s_largest_order_is_finite() {
    let n = 196;
    let mut w = Random::named("w", 2).tensor(n * n, 1.0, 0.9);
    for row in w.chunks_exact_mut(n) {
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|value| *value *= 0.95 / sum);
    }
    let w = buffer(&w);
    let chain = Chain { order: 32, alpha: 500.0, newton_steps: None };
    for part in [Part::Rows, Part::Diagonal, Part::ColumnMean, Part::RowMean] {
        let made = make(&w, n, chain, part, &[3, 190]);
        assert!(made.iter().all(|c| c.is_normal() && *c > 0.0), "{part:?}: {made:?}");
    }
}

#[test]
fn more_tokens_than_fit_are_refused() {
    let mut recorder = Recorder::new(gpu());
    let (w, list, result) = (buffer(&[0.0f32]), buffer(&[0u32]), buffer(&[0.0f32]));
    let bindings = Bindings { w: &w, list: &list, result: &result };
    match record(&mut recorder, Params::mean(MOST_PATCHES + 1, Chain::IDENTITY), 1, Part::ColumnMean, bindings) {
        Err(Error::Limit { op, expected, got, .. }) => {
            assert_eq!((op.as_str(), got.as_str()), ("connectivity", "2049"));
            assert!(expected.contains("2048 patch tokens"), "{expected}");
        }
        other => panic!("{other:?}"),
    }
}
