//! Compares f16 storage with f32: the error that it adds on the golden networks. Run with `--nocapture` for the
//! figures.

mod support;

use support::{Fixture, relative};
use tcvit::condensation::Schedule;
use tcvit::{Condensation, Outputs, Precision, SessionOptions, Trace};

/// The largest changes that f16 may make, relative to the largest logit (or feature, in a network without a head).
struct Budget {
    full: f64,
    /// The bound for condensed networks, in which a token with nearly the threshold's score may be dropped in one
    /// precision and kept in the other. `None` if no bound holds: in an untrained network, one such token changes
    /// everything.
    condensed: Option<f64>,
    /// The smallest share of kept tokens that both precisions keep, up to the first block in which an image's kept
    /// tokens differ.
    kept: f64,
}

/// For trained weights, as the README states.
const TRAINED: Budget = Budget { full: 2e-3, condensed: Some(5e-3), kept: 0.995 };
/// For random weights, which amplify every error: PyTorch's own f16 is off by 4e-2 on such a DeiT.
const RANDOM: Budget = Budget { full: 4e-2, condensed: None, kept: 0.99 };

fn run(name: &str, precision: Precision, condensation: Option<&Condensation>) -> Trace {
    let fixture = Fixture::load_in(name, precision);
    assert_eq!(fixture.model.precision(), precision);
    let images = fixture.golden.batch.min(4);
    let options = SessionOptions::new().batch(images).condensation(condensation.cloned());
    let session = fixture.model.session(options).unwrap();
    session.run(fixture.images(images), Outputs::logits().features().pooled().trace()).unwrap()
}

/// The condensation at 65 % of the full model's multiply-adds.
fn cheaper(mut condensation: Condensation) -> Condensation {
    condensation.schedule = Schedule::Share(0.65);
    condensation
}

/// The share of kept tokens that both traces have. For each image, blocks are compared up to the first whose kept
/// tokens differ: in later blocks, equal indices no longer mean equal tokens.
fn kept_alike(a: &Trace, b: &Trace) -> f64 {
    let (mut same, mut all) = (0, 0);
    let images = a.blocks.first().map_or(0, |block| block.kept.len() / block.kept_count);
    for image in 0..images {
        for (a, b) in a.blocks.iter().zip(&b.blocks) {
            let [a, b] = [a, b].map(|block| &block.kept[image * block.kept_count..][..block.kept_count]);
            same += a.iter().filter(|token| b.contains(token)).count();
            all += a.len();
            if a != b {
                break;
            }
        }
    }
    f64::from(same as u32) / f64::from(all as u32)
}

fn check(name: &str, budget: &Budget) {
    let condensations = [
        ("full", None),
        ("paper", Some(cheaper(Condensation::paper()))),
        ("training_free", Some(cheaper(Condensation::training_free()))),
    ];
    for (label, condensation) in condensations {
        let [exact, half] = [Precision::F32, Precision::F16].map(|p| run(name, p, condensation.as_ref()));
        let (got, expected) = match exact.logits.is_empty() {
            true => (&half.features, &exact.features),
            false => (&half.logits, &exact.logits),
        };
        let error = relative(got, expected);
        // If f16 changed nothing, the network was not stored in f16.
        assert!(error > 0.0, "{name} {label}: not a bit differs");
        let (most, alike) = match condensation {
            None => (Some(budget.full), 1.0),
            Some(_) => (budget.condensed, kept_alike(&exact, &half)),
        };
        println!("{name} {label}: off by {error:.1e}, {:.2} % of kept tokens alike", 100.0 * alike);
        assert!(most.is_none_or(|most| error <= most), "{name} {label}: off by {error:e}");
        assert!(alike >= budget.kept, "{name} {label}: {alike} of kept tokens alike");
    }
}

#[test]
fn deit_tiny_is_within_the_budget() {
    check("deit_tiny", &RANDOM);
}

#[test]
fn a_distilled_network_is_within_the_budget() {
    check("deit_tiny_distilled", &RANDOM);
}

#[test]
fn a_network_with_registers_and_layer_scale_is_within_the_budget() {
    check("dinov2_small_reg4", &RANDOM);
}

#[test]
fn a_network_with_a_convolutional_stem_is_within_the_budget() {
    check("lvvit_s", &RANDOM);
}

#[test]
fn the_bundled_network_is_within_the_budget() {
    check("bundled", &TRAINED);
}

/// Scores are f32 numbers, so an f16 network is as deterministic as an f32 one.
#[test]
fn two_runs_in_f16_give_the_same_bits() {
    let condensation = cheaper(Condensation::training_free());
    let [a, b] = [0, 1].map(|_| run("bundled", Precision::F16, Some(&condensation)));
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&a.logits), bits(&b.logits));
}

/// The comparison can fail: it detects other kept tokens.
#[test]
fn a_trace_that_keeps_others_is_seen() {
    let condensation = cheaper(Condensation::paper());
    let trace = run("bundled", Precision::F32, Some(&condensation));
    let mut other = trace.clone();
    assert!((kept_alike(&trace, &other) - 1.0).abs() < 1e-9);
    for block in &mut other.blocks {
        block.kept.iter_mut().for_each(|token| *token += 1);
    }
    assert!(kept_alike(&trace, &other) < RANDOM.kept);
}
