use tcvit::condensation::Chain;
use tcvit::kernels::score::{Bindings, Connectivity, Params, Terms, record};

use crate::{AWKWARD, REAL, buffer, read, run, sweep};

#[test]
fn agrees_at_every_small_size() {
    sweep("score", (1..=64).map(|patches| [1 + patches % 3, patches]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep("score", AWKWARD.map(|patches| [2, patches]));
    sweep("score", REAL.map(|patches| [1, patches]));
    sweep("score", [[3, 2047], [1, 2048]]);
}

/// A Newton iteration that diverged may give a c of the wrong sign and of any size: normalising undoes both.
#[test]
fn a_normalised_score_depends_on_neither_sign_nor_size_of_c() {
    let (c, dominance) = ([1.0f32, 2.0, 5.0], [0.5f32, 0.25, 0.125]);
    let terms = Terms { normalise: true, connectivity: true, dominance: true };
    let mut params = Params::new(3, 2, 2.0, Chain::IDENTITY);
    params.scale = f32::INFINITY;
    for factor in [1.0, -1.0, -1024.0, 0.5f32.powi(60)] {
        let score = buffer(&[f32::NAN; 3]);
        let c = buffer(&c.map(|c| factor * c));
        let (order, slot) = (buffer(&[7777u32; 3]), buffer(&[7777u32; 3]));
        let bindings = Bindings {
            connectivity: Connectivity::Mean(&c),
            dominance: &buffer(&dominance),
            score: &score,
            order: &order,
            slot: &slot,
        };
        run(|recorder| record(recorder, params, 1, terms, bindings));
        assert_eq!(read::<f32>(&score, 3), [0.875, 0.25, -0.375], "at a factor of {factor}");
        assert_eq!(read::<u32>(&order, 3), [0, 1, 2], "at a factor of {factor}");
    }
}
