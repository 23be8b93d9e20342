use tcvit::condensation::Chain;
use tcvit::low_level::doctor::check;
use tcvit::low_level::gpu::{Context, ContextOptions, Internals, Recorder};
use tcvit::low_level::kernels::score::{Bindings, Call, Connectivity, Params, SUBGROUP, Terms, record};

use crate::{AWKWARD, REAL, buffer, gpu, read, run, sweep_ways, ways};

#[test]
fn agrees_at_every_small_size() {
    sweep_ways("score", (1..=64).map(|patches| [1 + patches % 3, patches]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_ways("score", AWKWARD.map(|patches| [2, patches]));
    sweep_ways("score", REAL.map(|patches| [1, patches]));
    sweep_ways("score", [[3, 2047], [1, 2048]]);
}

/// A diverged Newton iteration may give a c of the wrong sign and of any magnitude. Normalisation undoes both.
#[test]
fn a_normalised_score_depends_on_neither_sign_nor_size_of_c() {
    let (c, dominance) = ([1.0f32, 2.0, 5.0], [0.5f32, 0.25, 0.125]);
    let terms = Terms { normalise: true, connectivity: true, dominance: true };
    let mut params = Params::new(3, 2, 2.0, Chain::IDENTITY);
    params.scale = f32::INFINITY;
    let call = Call { params, images: 1, terms, order: 0 };
    let factors = [1.0, -1.0, -1024.0, 0.5f32.powi(60)];
    for (way, factor) in ways(&call).into_iter().flat_map(|way| factors.map(|factor| (way, factor))) {
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
        run(|recorder| record(recorder, way, call, bindings));
        assert_eq!(read::<f32>(&score, 3), [0.875, 0.25, -0.375], "at a factor of {factor}");
        assert_eq!(read::<u32>(&order, 3), [0, 1, 2], "at a factor of {factor}");
    }
}

#[test]
fn connectivity_that_is_not_that_of_the_call_is_refused() {
    let terms = Terms { normalise: true, connectivity: true, dominance: true };
    let call = Call { params: Params::new(4, 3, 1.0, Chain::IDENTITY), images: 1, terms, order: 1 };
    let some = buffer(&[0u32; 16]);
    let connectivity = Connectivity::Mean(&some);
    let bindings = Bindings { connectivity, dominance: &some, score: &some, order: &some, slot: &some };
    for way in ways(&call) {
        let error = record(&mut Recorder::new(gpu()), way, call, bindings).unwrap_err().to_string();
        assert!(error.contains("connectivity of order 1"), "{error}");
    }
}

/// On a GPU a workgroup has four times as many threads for an image, and its parts divide the rows. A software adapter
/// does not choose that by itself.
#[test]
fn octets_agree_with_as_many_threads_as_a_gpu_gives_them() {
    let wide = Context::open(ContextOptions::new().as_gpu(true)).unwrap();
    if !wide.traits().has_octets() {
        return crate::skip(&SUBGROUP, gpu());
    }
    assert!(wide.traits().threads_of_an_image > 64);
    for patches in [1, 7, 8, 31, 64, 100, 196, 255, 256, 257, 576, 1024, 1025, 2048] {
        for (kernel, size) in
            [("score_subgroup", vec![2, patches]), ("top_k_subgroup", vec![2, patches, 1 + patches / 2])]
        {
            let finding = check(&wide, kernel, &size, patches as u64).unwrap();
            assert!(finding.passed(), "{finding:?}");
        }
    }
}
