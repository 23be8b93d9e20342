use crate::{AWKWARD, REAL, sweep};

#[test]
fn agrees_at_every_small_size() {
    sweep("newton_start", (1..=64).map(|patches| [1 + patches % 3, patches]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep("newton_start", AWKWARD.map(|patches| [1, patches]));
    sweep("newton_start", REAL.map(|patches| [1, patches]));
}
