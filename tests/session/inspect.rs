//! The W of every block, which is kept on request.

use tcvit::condensation::{Condensation, Metric, Path, Score};
use tcvit::{Session, SessionOptions, Trace};

use crate::support::relative;
use crate::support::small::{EVERYTHING, assert_same_bits, config, open, pixels, small};

const BATCH: usize = 2;

fn inspected(condensation: &Condensation) -> Session {
    small().session(SessionOptions::new().batch(BATCH).condense(condensation.clone()).inspect()).unwrap()
}

/// The negated mean over rows of W [N, N], divided by its sum: the score for K = 1 without dominance.
fn score_of(w: &[f32], patches: usize) -> Vec<f32> {
    let column = |j: usize| w.iter().skip(j).step_by(patches).map(|&v| f64::from(v)).sum::<f64>();
    let sums: Vec<f64> = (0..patches).map(column).collect();
    let all: f64 = sums.iter().sum();
    sums.iter().map(|sum| (-sum / all) as f32).collect()
}

#[test]
fn the_w_that_is_kept_is_the_one_that_ranked() {
    for metric in [Metric::Attention, Metric::KeyCosine] {
        for path in [Path::Thin, Path::Dense] {
            let mut condensation = Condensation::paper().schedule([4, 0, 5]);
            (condensation.metric, condensation.path) = (metric, path);
            (condensation.order, condensation.score) = (1, Score::Connectivity);
            // Three images in a batch of two: the second run overwrites the buffers of the first.
            let images = pixels(&config(), 3, 61);
            let trace = inspected(&condensation).run(&images, EVERYTHING).unwrap();
            assert_eq!(trace.blocks.len(), 2);
            for block in &trace.blocks {
                let square = block.patches * block.patches;
                assert_eq!(block.connectivity.len(), 3 * square, "{metric:?} {path:?}");
                for row in block.connectivity.chunks_exact(block.patches) {
                    let sum: f32 = row.iter().sum();
                    assert!(row.iter().all(|&v| v >= 0.0) && sum <= 1.0 + 1e-5, "{metric:?}: a row sums to {sum}");
                }
                let matrices = block.connectivity.chunks_exact(square);
                for (w, score) in matrices.zip(block.score.chunks_exact(block.patches)) {
                    let error = relative(&score_of(w, block.patches), score);
                    assert!(error <= 1e-4, "{metric:?} {path:?} block {}: differs by {error:e}", block.block);
                }
            }
        }
    }
}

#[test]
fn inspecting_changes_nothing_else() {
    let images = pixels(&config(), BATCH, 62);
    for condensation in [Condensation::paper(), Condensation::training_free()] {
        let plain = open(small(), BATCH, Some(&condensation)).run(&images, EVERYTHING).unwrap();
        assert!(plain.blocks.iter().all(|block| block.connectivity.is_empty()));
        let mut trace = inspected(&condensation).run(&images, EVERYTHING).unwrap();
        assert!(trace.blocks.iter().all(|block| !block.connectivity.is_empty()));
        trace.blocks.iter_mut().for_each(|block| block.connectivity.clear());
        assert_same_bits("inspected", &trace, &plain);
    }
}

#[test]
fn what_needs_no_w_has_none() {
    let mut condensation = Condensation::paper();
    (condensation.score, condensation.weights) = (Score::Dominance, tcvit::condensation::Weights::None);
    let trace: Trace = inspected(&condensation).run(&pixels(&config(), 1, 63), EVERYTHING).unwrap();
    assert!(trace.blocks.iter().all(|block| block.connectivity.is_empty()));
}
