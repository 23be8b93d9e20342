use tcvit::low_level::gpu::{Internals, Operation, Precision};
use tcvit::low_level::kernels::query_key::Call;

use crate::{AWKWARD, gpu, sweep_ways};

#[test]
fn agrees_at_every_small_size() {
    sweep_ways("query_key", (1..=64).map(|tokens| [1 + tokens % 3, tokens, 1 + tokens % 4, 4 * (1 + tokens % 6)]));
    sweep_ways("query_key", (1..=24).map(|head4| [1, 1 + head4 % 6, 2, 4 * head4]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_ways("query_key", AWKWARD.map(|tokens| [1, tokens, 1, 20]));
    // Sizes around the squares that a workgroup computes by cooperative matrices.
    let edges = [15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129];
    sweep_ways("query_key", edges.map(|tokens| [1 + tokens % 3, tokens, 1, 32 * (1 + tokens % 5)]));
    sweep_ways("query_key", [[2, 197, 3, 64], [1, 577, 2, 64], [1, 1370, 1, 64], [1, 50, 12, 80]]);
}

#[test]
fn cosines_of_f16_are_for_cooperative_matrices_alone() {
    for input in Precision::ALL {
        let call = Call::cosines([1, 9, 64], input);
        let takes = |name| Call::ways().iter().any(|way| way.name == name && (way.takes)(gpu().traits(), &call));
        assert_eq!([takes("octets"), takes("plain")], [input == Precision::F32; 2], "{call:?}");
        assert!(!takes("cooperative") || input == Precision::F16, "{call:?}");
    }
}
