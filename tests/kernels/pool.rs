use crate::{AWKWARD, REAL, sweep};

#[test]
fn agrees_at_every_small_size() {
    sweep("pool", (1..=64).map(|patches| [1 + patches % 3, patches, 1 + patches % 5, 4 * (1 + patches % 40)]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep("pool", AWKWARD.map(|patches| [2, patches, 2, 20]));
    sweep("pool", REAL.map(|patches| [1, patches, 1, 192]));
    sweep("pool", AWKWARD.map(|width4| [1, 3, 1, 4 * width4]));
}
