use crate::{AWKWARD, sweep_variants};

#[test]
fn agrees_at_every_small_size() {
    sweep_variants("query_key", (1..=64).map(|tokens| [1 + tokens % 3, tokens, 1 + tokens % 4, 4 * (1 + tokens % 6)]));
    sweep_variants("query_key", (1..=24).map(|head4| [1, 1 + head4 % 6, 2, 4 * head4]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_variants("query_key", AWKWARD.map(|tokens| [1, tokens, 1, 20]));
    // Around the squares that cooperative matrices make together.
    let edges = [15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129];
    sweep_variants("query_key", edges.map(|tokens| [1 + tokens % 3, tokens, 1, 32 * (1 + tokens % 5)]));
    sweep_variants("query_key", [[2, 197, 3, 64], [1, 577, 2, 64], [1, 1370, 1, 64], [1, 50, 12, 80]]);
}
