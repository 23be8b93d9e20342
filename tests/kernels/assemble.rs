use crate::{AWKWARD, REAL, sweep};

#[test]
fn agrees_at_every_small_size() {
    sweep("assemble", (1..=64).map(|patches| [1 + patches % 3, 1 + patches % 5, patches, 4 * (1 + patches % 7)]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep("assemble", AWKWARD.map(|patches| [2, 2, patches, 20]));
    sweep("assemble", REAL.map(|patches| [1, 1, patches, 192]));
    sweep("assemble", [[3, 5, 196, 384], [1, 1, 49, 768]]);
}
