use tcvit::low_level::kernels::bipartite::{Bindings, Params, STAYS, record};

use crate::{AWKWARD, REAL, buffer, read, run, sweep};

#[test]
fn agrees_at_every_small_size() {
    sweep("bipartite", (1..=64).map(|patches| [1 + patches % 3, patches]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep("bipartite", AWKWARD.map(|patches| [2, patches]));
    sweep("bipartite", REAL.map(|patches| [1, patches]));
    sweep("bipartite", [[1, 2047], [1, 2048]]);
}

#[test]
fn only_the_other_set_counts() {
    // Tokens 0 and 2 are alike, and so are 1 and 3. Between the two sets, only tokens 2 and 3 are near each other.
    let cosine = [1.0, 0.1, 0.9, 0.2, 0.1, 1.0, 0.3, 0.9, 0.9, 0.3, 1.0, 0.5, 0.2, 0.9, 0.5, 1.0f32];
    let score = |first| {
        let score = buffer(&[f32::NAN; 4]);
        let params = Params { images: 1, patches: 4, first };
        run(|recorder| record(recorder, params, Bindings { cosine: &buffer(&cosine), score: &score }));
        read::<f32>(&score, 4)
    };
    assert_eq!(score(0), [-0.2, STAYS, -0.5, STAYS]);
    assert_eq!(score(1), [STAYS, -0.3, STAYS, -0.5]);
}
