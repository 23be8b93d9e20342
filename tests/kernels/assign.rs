use tcvit::condensation::Chain;
use tcvit::low_level::gpu::{Recorder, Way};
use tcvit::low_level::kernels::assign::{Bindings, Call, Candidates, Params, Rows, record};
use tcvit::low_level::kernels::top_k::DROPPED;

use crate::{AWKWARD, REAL, bits, buffer, gpu, read, run, sweep_ways, ways};

#[test]
fn agrees_at_every_small_size_and_count() {
    let counts = |patches: usize| [1, patches.div_ceil(2), patches - 1].map(|dropped| [2, patches, dropped.max(1)]);
    sweep_ways("assign", (2..=64).flat_map(counts));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_ways("assign", AWKWARD.map(|patches| [2, patches, 14]));
    sweep_ways("assign", REAL.map(|patches| [1, patches, 16]));
    sweep_ways("assign", [[1, 196, 195], [1, 2047, 3], [1, 2048, 9]]);
}

fn assign(rows: &[f32], slot: &[u32]) -> (Vec<u32>, Vec<f32>) {
    assign_among(Candidates::Any, rows, slot)
}

/// The assignment and connection that every way of this adapter finds; they must agree.
fn assign_among(candidates: Candidates, rows: &[f32], slot: &[u32]) -> (Vec<u32>, Vec<f32>) {
    let params = Params::new(slot.len(), rows.len() / slot.len(), Chain::IDENTITY);
    let call = Call { params, images: 1, candidates, diagonal: false, order: 0 };
    let mut found = ways(&call).into_iter().map(|way| assign_by(way, call, rows, slot));
    let first = found.next().unwrap();
    for (assigned, connection) in found {
        assert_eq!(assigned, first.0);
        // Any two NaN are taken as equal.
        let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
        assert!(connection.iter().zip(&first.1).all(same), "{connection:?} {:?}", first.1);
    }
    first
}

fn assign_by(way: &Way<Call>, call: Call, rows: &[f32], slot: &[u32]) -> (Vec<u32>, Vec<f32>) {
    let dropped = call.params.dropped as usize;
    let (assigned, connection) = (buffer(&vec![7777u32; dropped]), buffer(&vec![7777.0f32; dropped]));
    let bindings = Bindings {
        rows: Rows::Made(&buffer(rows)),
        order: &buffer(&vec![0u32; slot.len()]),
        slot: &buffer(slot),
        assigned: &assigned,
        connection: &connection,
        diagonal: &buffer(&vec![0.0f32; dropped]),
    };
    run(|recorder| record(recorder, way, call, bindings));
    (read(&assigned, dropped), read(&connection, dropped))
}

#[test]
fn rows_that_are_not_those_of_the_call_are_refused() {
    let params = Params::new(4, 1, Chain::IDENTITY);
    let call = Call { params, images: 1, candidates: Candidates::Any, diagonal: true, order: 1 };
    let some = buffer(&[0u32; 16]);
    let bindings = Bindings {
        rows: Rows::Made(&some),
        order: &some,
        slot: &some,
        assigned: &some,
        connection: &some,
        diagonal: &some,
    };
    for way in ways(&call) {
        let error = record(&mut Recorder::new(gpu()), way, call, bindings).unwrap_err().to_string();
        assert!(error.contains("rows of order 1"), "{error}");
    }
}

#[test]
fn ties_go_to_the_lower_index_and_nan_never_wins() {
    const NAN: f32 = f32::NAN;
    const INF: f32 = f32::INFINITY;
    // Tokens 0 and 4 are dropped.
    let slot = [DROPPED, 0, 1, 2, DROPPED, 3];
    let cases = [
        ([9.0, 1.0, 2.0, 2.0, 9.0, 2.0], 2, 2.0),
        ([9.0, NAN, -3.0, NAN, 9.0, -2.0], 5, -2.0),
        ([9.0, NAN, -INF, NAN, 9.0, NAN], 2, -INF),
        ([9.0, NAN, NAN, NAN, 9.0, NAN], 1, NAN),
        ([NAN, -0.0, 0.0, -1.0, INF, 0.0], 1, -0.0),
        ([0.0, 1.0, 2.0, INF, 9.0, INF], 3, INF),
    ];
    for (row, best, connection) in cases {
        let (assigned, got) = assign(&row, &slot);
        assert_eq!(assigned, [best], "{row:?}");
        assert!(bits(&got) == bits(&[connection]) || (got[0].is_nan() && connection.is_nan()), "{row:?}: {got:?}");
    }
}

/// Two equal elements lie in the parts of different threads, or in the part of one thread: 64 threads, or 8 octets,
/// take turns along a row.
#[test]
fn ties_go_to_the_lower_index_in_long_rows() {
    let slot: Vec<u32> = (0..400).map(|p| if p % 7 == 3 { DROPPED } else { 0 }).collect();
    for (first, second) in [(1, 2), (5, 5 + 64), (70, 69 + 64), (127, 128), (2, 399), (8, 11 + 64)] {
        let mut row = vec![0.25; 400];
        (row[first], row[second]) = (0.5, 0.5);
        // This element is larger, but its token is dropped.
        row[3] = 0.75;
        assert_eq!(assign(&row, &slot).0, [first as u32]);
    }
    assert_eq!(assign(&[0.25; 400], &slot).0, [0]);
}

#[test]
fn a_parity_limits_the_candidates() {
    let slot = [DROPPED, 0, 1, 2, 3, 4];
    let row = [9.0, 3.0, 1.0, 5.0, 2.0, 4.0];
    assert_eq!(assign_among(Candidates::Parity(0), &row, &slot), (vec![4], vec![2.0]));
    assert_eq!(assign_among(Candidates::Parity(1), &row, &slot), (vec![3], vec![5.0]));
    // A dropped token is never a candidate, whatever its parity.
    assert_eq!(assign_among(Candidates::Parity(0), &[9.0, 9.0, f32::NAN, 9.0, -1.0, 9.0], &slot).0, [4]);
}
