use tcvit::low_level::kernels::assign_lowest::{Bindings, Params, record};

use crate::{AWKWARD, REAL, buffer, read, run, sweep};

#[test]
fn agrees_at_every_small_size_and_count() {
    let counts = |patches: usize| [1, patches.div_ceil(2), patches - 1].map(|dropped| [2, patches, dropped.max(1)]);
    sweep("assign_lowest", (2..=64).flat_map(counts));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep("assign_lowest", AWKWARD.map(|patches| [2, patches, 14]));
    sweep("assign_lowest", REAL.map(|patches| [1, patches, 16]));
    sweep("assign_lowest", [[1, 196, 195], [1, 2048, 2]]);
}

#[test]
fn all_go_to_the_lowest_of_those_that_stay() {
    let (score, order) = ([0.5f32, 0.1, 0.3, 0.2, 0.3], [0u32, 2, 4, 1, 3]);
    let (assigned, connection, diagonal) = (buffer(&[7u32; 2]), buffer(&[7.0f32; 2]), buffer(&[7.0f32; 2]));
    let bindings = Bindings {
        score: &buffer(&score),
        order: &buffer(&order),
        assigned: &assigned,
        connection: &connection,
        diagonal: &diagonal,
    };
    run(|recorder| record(recorder, Params { patches: 5, dropped: 2 }, 1, bindings));
    // Tokens 2 and 4 have the same score, so the lower index is taken.
    assert_eq!(read::<u32>(&assigned, 2), [2, 2]);
    assert_eq!(read::<f32>(&connection, 2), [0.1, 0.2]);
    assert_eq!(read::<f32>(&diagonal, 2), [0.3, 0.3]);
}
