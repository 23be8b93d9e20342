use tcvit::Error;
use tcvit::low_level::gpu::Recorder;
use tcvit::low_level::kernels::top_k::{Bindings, Call, DROPPED, Listing, MOST_PATCHES, Params, record};

use crate::{AWKWARD, REAL, buffer, gpu, read, run, sweep_ways, ways};

#[test]
fn agrees_at_every_small_size_and_count() {
    sweep_ways(
        "top_k",
        (1..=64).flat_map(|patches: usize| [1, patches.div_ceil(2), patches].map(|kept| [2, patches, kept])),
    );
    sweep_ways("top_k", (1..=17).flat_map(|patches| (1..=patches).map(move |kept| [1, patches, kept])));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_ways("top_k", AWKWARD.map(|patches| [2, patches, patches - 14]));
    sweep_ways("top_k", REAL.map(|patches| [1, patches, patches - 16]));
    let large = [511, 512, 513, 1023, 1024, 1025, 2047, 2048];
    sweep_ways(
        "top_k",
        large.into_iter().flat_map(|patches| [1, patches / 2, patches - 1].map(|kept| [1, patches, kept])),
    );
}

fn keeping(patches: usize, kept: usize) -> Call {
    Call { params: Params::new(patches, kept), images: 1, listing: Listing::Ascending }
}

#[test]
fn ties_go_to_the_lower_index_and_nan_goes_first() {
    let score = [1.0, f32::NAN, 2.0, 1.0, -0.0, 0.0, f32::NEG_INFINITY, 1.0];
    // From the best to the worst. The two zeros are equal, so the lower index comes first.
    let ranked = [2, 0, 3, 7, 4, 5, 6, 1];
    let calls = (1..=8).map(|kept| (kept, keeping(8, kept)));
    for (kept, call, way) in calls.flat_map(|(kept, call)| ways(&call).into_iter().map(move |way| (kept, call, way))) {
        let (order, slot) = (buffer(&[7777u32; 8]), buffer(&[7777u32; 8]));
        let bindings = Bindings { score: &buffer(&score), order: &order, slot: &slot };
        run(|recorder| record(recorder, way, call, bindings));
        let (mut stay, mut go) = (ranked[..kept].to_vec(), ranked[kept..].to_vec());
        stay.sort();
        go.sort();
        assert_eq!(read::<u32>(&order, 8), [stay.clone(), go].concat(), "{way:?}, keeping {kept}");
        let place = |token: u32| stay.iter().position(|&kept| kept == token).map_or(DROPPED, |place| place as u32);
        assert_eq!(read::<u32>(&slot, 8), (0..8).map(place).collect::<Vec<u32>>(), "{way:?}, keeping {kept}");
    }
}

#[test]
fn all_nan_keeps_the_first() {
    let call = keeping(300, 40);
    for way in ways(&call) {
        let (order, slot) = (buffer(&[7777u32; 300]), buffer(&[7777u32; 300]));
        let bindings = Bindings { score: &buffer(&[f32::NAN; 300]), order: &order, slot: &slot };
        run(|recorder| record(recorder, way, call, bindings));
        assert_eq!(read::<u32>(&order, 300), (0..300).collect::<Vec<u32>>(), "{way:?}");
    }
}

#[test]
fn more_tokens_than_fit_are_refused() {
    let [score, order, slot] = [(); 3].map(|()| buffer(&vec![0.0f32; MOST_PATCHES + 1]));
    let bindings = Bindings { score: &score, order: &order, slot: &slot };
    let mut recorder = Recorder::new(gpu());
    for way in ways(&keeping(MOST_PATCHES, 5)) {
        record(&mut recorder, way, keeping(MOST_PATCHES, 5), bindings).unwrap();
        match record(&mut recorder, way, keeping(MOST_PATCHES + 1, 5), bindings) {
            Err(Error::Limit { op, expected, got, .. }) => {
                assert_eq!((op.as_str(), got.as_str()), ("top_k", "2049"));
                assert!(expected.contains("2048 patch tokens"), "{expected}");
            }
            other => panic!("{way:?}: {other:?}"),
        }
    }
}
