use tcvit::Error;
use tcvit::gpu::{Recorder, Variant};
use tcvit::kernels::top_k::{Bindings, DROPPED, Listing, MOST_PATCHES, Params, record};

use crate::{AWKWARD, REAL, buffer, gpu, read, run, sweep_variants};

#[test]
fn agrees_at_every_small_size_and_count() {
    sweep_variants(
        "top_k",
        (1..=64).flat_map(|patches: usize| [1, patches.div_ceil(2), patches].map(|kept| [2, patches, kept])),
    );
    sweep_variants("top_k", (1..=17).flat_map(|patches| (1..=patches).map(move |kept| [1, patches, kept])));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_variants("top_k", AWKWARD.map(|patches| [2, patches, patches - 14]));
    sweep_variants("top_k", REAL.map(|patches| [1, patches, patches - 16]));
    let large = [511, 512, 513, 1023, 1024, 1025, 2047, 2048];
    sweep_variants(
        "top_k",
        large.into_iter().flat_map(|patches| [1, patches / 2, patches - 1].map(|kept| [1, patches, kept])),
    );
}

/// Those that run here.
fn variants() -> impl Iterator<Item = Variant> {
    Variant::ALL.into_iter().filter(|variant| variant.available(gpu()))
}

#[test]
fn ties_go_to_the_lower_index_and_nan_goes_first() {
    let score = [1.0, f32::NAN, 2.0, 1.0, -0.0, 0.0, f32::NEG_INFINITY, 1.0];
    // From the best to the worst, whichever zero comes first.
    let ranked = [2, 0, 3, 7, 4, 5, 6, 1];
    for (variant, kept) in variants().flat_map(|variant| (1..=8).map(move |kept| (variant, kept))) {
        let (order, slot) = (buffer(&[7777u32; 8]), buffer(&[7777u32; 8]));
        let bindings = Bindings { score: &buffer(&score), order: &order, slot: &slot };
        run(|recorder| record(recorder, variant, Params::new(8, kept), 1, Listing::Ascending, bindings));
        let (mut stay, mut go) = (ranked[..kept].to_vec(), ranked[kept..].to_vec());
        stay.sort();
        go.sort();
        assert_eq!(read::<u32>(&order, 8), [stay.clone(), go].concat(), "keeping {kept}");
        let place = |token: u32| stay.iter().position(|&kept| kept == token).map_or(DROPPED, |place| place as u32);
        assert_eq!(read::<u32>(&slot, 8), (0..8).map(place).collect::<Vec<u32>>(), "keeping {kept}");
    }
}

#[test]
fn all_nan_keeps_the_first() {
    for variant in variants() {
        let (order, slot) = (buffer(&[7777u32; 300]), buffer(&[7777u32; 300]));
        let bindings = Bindings { score: &buffer(&[f32::NAN; 300]), order: &order, slot: &slot };
        run(|recorder| record(recorder, variant, Params::new(300, 40), 1, Listing::Ascending, bindings));
        assert_eq!(read::<u32>(&order, 300), (0..300).collect::<Vec<u32>>());
    }
}

#[test]
fn more_tokens_than_fit_are_refused() {
    let [score, order, slot] = [(); 3].map(|()| buffer(&vec![0.0f32; MOST_PATCHES + 1]));
    let bindings = Bindings { score: &score, order: &order, slot: &slot };
    let mut recorder = Recorder::new(gpu());
    record(&mut recorder, Variant::Plain, Params::new(MOST_PATCHES, 5), 1, Listing::Ascending, bindings).unwrap();
    match record(&mut recorder, Variant::Plain, Params::new(MOST_PATCHES + 1, 5), 1, Listing::Ascending, bindings) {
        Err(Error::Limit { op, expected, got }) => {
            assert_eq!((op.as_str(), got.as_str()), ("top_k", "2049"));
            assert!(expected.contains("2048 patch tokens"), "{expected}");
        }
        other => panic!("{other:?}"),
    }
}
