//! Compares the thin path of connectivity, which is the default, with the dense path, which computes all of C; and the
//! two methods with each other where Newton converges.

use tcvit::condensation::{Condensation, Method, Metric, Path, Score};
use tcvit::{Model, Precision, Trace, VitConfig};

use crate::support::small::{EVERYTHING, bundled, config, open, photographs, pixels, small};
use crate::support::{gpu, relative, stored_in};

const ORDERS: [u32; 7] = [1, 2, 3, 4, 5, 8, 32];
const METHODS: [Method; 5] =
    [Method::PowerSum, Method::Newton(0), Method::Newton(1), Method::Newton(2), Method::Newton(3)];

fn run(model: &Model, images: &[f32], condensation: &Condensation) -> Trace {
    let batch = images.len() / model.config().pixels();
    open(model, batch, Some(condensation)).run(images, EVERYTHING).unwrap()
}

/// Compares both paths: the same kept sets and assignments, and logits within 1e-4.
fn compare(model: &Model, images: &[f32], metric: Metric, chains: &[(Method, u32, f32)]) {
    for &(method, order, alpha) in chains {
        let mut thin = Condensation::paper();
        (thin.metric, thin.method, thin.order, thin.alpha) = (metric, method, order, alpha);
        let mut dense = thin.clone();
        dense.path = Path::Dense;
        let label = format!("{metric:?} {method:?} K = {order} a = {alpha}");
        let [got, expected] = [&thin, &dense].map(|condensation| run(model, images, condensation));
        let error = relative(&got.logits, &expected.logits);
        println!("{label}: {error:.1e}");
        for (got, expected) in got.blocks.iter().zip(&expected.blocks) {
            let block = expected.block;
            let score = relative(&got.score, &expected.score);
            // When Newton diverges, large numbers cancel, so the scores agree less.
            assert!(
                method != Method::PowerSum || score <= 1e-4,
                "{label}: scores of block {block} differ by {score:e}"
            );
            assert_eq!(got.kept, expected.kept, "{label}: kept of block {block}, scores differ by {score:e}");
            assert_eq!(got.assigned, expected.assigned, "{label}: assigned of block {block}");
        }
        assert!(error <= 1e-4, "{label}: logits differ by {error:e}");
    }
}

/// Every method with every order; and every order with an a at which no order outweighs the others. With a = 500, the
/// last order dominates the normalised score.
fn grid() -> Vec<(Method, u32, f32)> {
    let all = METHODS.iter().flat_map(|&method| ORDERS.map(|order| (method, order, 500.0)));
    all.chain(ORDERS.map(|order| (Method::PowerSum, order, 1.5))).collect()
}

/// Every order of the power sum, and every number of Newton steps once.
fn diagonal() -> Vec<(Method, u32, f32)> {
    let sums = ORDERS.iter().zip([500.0, 1.5].into_iter().cycle()).map(|(&order, a)| (Method::PowerSum, order, a));
    sums.chain(METHODS[1..].iter().zip([2, 3, 2, 8]).map(|(&method, order)| (method, order, 500.0))).collect()
}

#[test]
fn paths_agree() {
    // Two blocks, so that the second runs on tokens that the first has fused.
    let config = VitConfig::new(32, 8, 32, 2, 2, 10);
    let model = Model::random_with(gpu(), &config, 7, &stored_in(Precision::F32)).unwrap();
    for metric in [Metric::Attention, Metric::KeyCosine] {
        compare(&model, &pixels(&config, 2, 21), metric, &grid());
    }
}

#[test]
fn paths_agree_on_the_bundled_model() {
    compare(bundled(), &photographs(&["chelsea"]), Metric::Attention, &diagonal());
    compare(bundled(), &photographs(&["rocket"]), Metric::KeyCosine, &diagonal());
}

/// Eq. 9 is eq. 8 rewritten. With a small a, for which Newton converges, both give the same scores. With the paper's a
/// they do not, so the test can fail.
#[test]
fn newton_is_the_power_sum_where_it_converges() {
    let images = pixels(&config(), 2, 23);
    for path in [Path::Thin, Path::Dense] {
        let outcome = |method, alpha| {
            let mut condensation = Condensation::paper();
            (condensation.method, condensation.alpha, condensation.path) = (method, alpha, path);
            (condensation.order, condensation.score) = (4, Score::Connectivity);
            run(small(), &images, &condensation)
        };
        let (sum, newton) = (outcome(Method::PowerSum, 0.4), outcome(Method::Newton(3), 0.4));
        let error = relative(&newton.blocks[0].score, &sum.blocks[0].score);
        assert!(error <= 1e-3, "{path:?}: scores differ by {error:e}");
        let (sum, newton) = (outcome(Method::PowerSum, 500.0), outcome(Method::Newton(1), 500.0));
        let error = relative(&newton.blocks[0].score, &sum.blocks[0].score);
        assert!(error.is_nan() || error > 1e-3, "{path:?}: a diverging Newton differs by only {error:e}");
    }
}

/// K and the method change the scores, so the 35 comparisons above differ.
#[test]
fn orders_and_methods_differ() {
    let images = pixels(&config(), 2, 24);
    let outcome = |method, order| {
        let mut condensation = Condensation::paper();
        (condensation.method, condensation.order) = (method, order);
        run(small(), &images, &condensation).blocks[0].score.clone()
    };
    let base = outcome(Method::PowerSum, 2);
    for (method, order) in [(Method::PowerSum, 1), (Method::PowerSum, 3), (Method::Newton(0), 2)] {
        let error = relative(&outcome(method, order), &base);
        assert!(error > 1e-4, "{method:?} K = {order} gives the scores of the power sum with K = 2");
    }
}
