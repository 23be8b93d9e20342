use tcvit::low_level::gpu::{Precision, Recorder, Types, Way};
use tcvit::low_level::kernels::attention::{Bindings, Call, Params, cooperative, octets, plain, record};
use tcvit::low_level::random::Random;

use crate::{AWKWARD, bits, buffer, gpu, read, run, sweep_ways, ways};

#[test]
fn agrees_at_every_small_size() {
    sweep_ways("attention", (1..=64).map(|tokens| [1 + tokens % 3, tokens, 1 + tokens % 4, 4 * (1 + tokens % 6)]));
    sweep_ways("attention", [2, 7, 8, 9, 16, 17, 24, 25, 31, 32].map(|head4| [1, 1 + head4 % 7, 2, 4 * head4]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_ways("attention", AWKWARD.map(|tokens| [1, tokens, 1, 20]));
    sweep_ways("attention", [[2, 197, 3, 64], [1, 577, 2, 64], [1, 1370, 1, 64], [1, 50, 12, 80], [2, 29, 2, 128]]);
    sweep_ways("attention", [[1, 2048, 1, 8], [1, 4099, 1, 4]]);
}

const TOKENS: usize = 75;
const HEAD: usize = 8;

/// A call for one head of one image in f32.
fn call(scale: f32) -> Call {
    let params = Params {
        tokens: TOKENS as u32,
        heads: 1,
        images: 1,
        row4: 6,
        key_offset4: 2,
        value_offset4: 4,
        head4: 2,
        scale,
    };
    Call { params, types: Types::default(), proportional: false }
}

fn attention(way: &Way<Call>, qkv: &[f32], scale: f32) -> Vec<f32> {
    let (x, sizes, y) = (buffer(qkv), buffer(&[1.0f32; TOKENS]), buffer(&[0.0f32; TOKENS * HEAD]));
    let rows = buffer(&[0.0f32; TOKENS * 2]);
    let bindings = Bindings { qkv: &x, sizes: &sizes, y: &y, rows: &rows };
    run(|recorder| record(recorder, way, call(scale), bindings));
    read(&y, TOKENS * HEAD)
}

/// With logits of about 1e6, whose exponentials overflow every float, each query takes the value of its best key.
#[test]
fn huge_logits_choose_one_key() {
    let qkv = Random::named("huge", 1).tensor(TOKENS * 3 * HEAD, 0.0, 1.0);
    let vector = |token: usize, part: usize| &qkv[(token * 3 + part) * HEAD..][..HEAD];
    for way in ways(&call(1e6)) {
        let got = attention(way, &qkv, 1e6);
        for (query, got) in got.chunks_exact(HEAD).enumerate() {
            let dot = |key: &usize| -> f64 {
                vector(query, 0).iter().zip(vector(*key, 1)).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
            };
            let best = (0..TOKENS).max_by(|a, b| dot(a).total_cmp(&dot(b))).unwrap();
            assert_eq!(got, vector(best, 2), "query {query}, {way:?}");
        }
    }
}

#[test]
fn a_nan_stays_in_its_query_and_runs_repeat_to_the_bit() {
    let mut qkv = Random::named("nan", 1).tensor(TOKENS * 3 * HEAD, 0.0, 1.0);
    qkv[7 * 3 * HEAD + 5] = f32::NAN;
    for way in ways(&call(1.0)) {
        let got = attention(way, &qkv, 1.0);
        for (query, got) in got.chunks_exact(HEAD).enumerate() {
            assert!(got.iter().all(|y| y.is_nan() == (query == 7)), "query {query}: {got:?}, {way:?}");
        }
        assert_eq!(bits(&got), bits(&attention(way, &qkv, 1.0)));
    }
}

#[test]
fn heads_that_are_too_wide_are_refused() {
    let finding = tcvit::low_level::doctor::check(gpu(), "attention", &[1, 5, 1, 132], 1).unwrap();
    assert!(finding.outcome.unwrap_err().contains("128"));
    let params =
        Params { tokens: 5, heads: 1, images: 1, row4: 99, key_offset4: 33, value_offset4: 66, head4: 33, scale: 1.0 };
    for way in [Some(plain()), octets(), Some(cooperative())].into_iter().flatten() {
        let error = refusal(way, Call { params, ..call(1.0) });
        assert!(error.contains("128") && error.contains("132"), "{error}");
    }
}

#[test]
fn calls_that_a_way_does_not_take_are_refused() {
    // Heads are half a matrix wide or less.
    let types = Types::new(Precision::F16, Precision::F16);
    let params = Params { head4: 1, ..call(1.0).params };
    let error = refusal(cooperative(), Call { params, types, ..call(1.0) });
    assert!(error.contains("whole matrices"), "{error}");
}

/// The error of `record` for `call` by `way`.
fn refusal(way: &Way<Call>, call: Call) -> String {
    let one = buffer(&[0.0f32]);
    let bindings = Bindings { qkv: &one, sizes: &one, y: &one, rows: &one };
    record(&mut Recorder::new(gpu()), way, call, bindings).unwrap_err().to_string()
}
