use crate::{AWKWARD, REAL, sweep_ways};

#[test]
fn agrees_at_every_small_size() {
    let sizes =
        (1..=64).map(|patches| [1 + patches % 3, patches, 1 + patches % 5, 1 + patches % 7, 4 * (1 + patches % 6)]);
    sweep_ways("key_mean", sizes);
    sweep_ways("key_mean", (1..=24).map(|head4| [1, 1 + head4 % 6, 1, 3, 4 * head4]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_ways("key_mean", AWKWARD.map(|patches| [1, patches, 2, 2, 20]));
    sweep_ways("key_mean", REAL.map(|patches| [1, patches, 1, 6, 64]));
    // Whole tokens, with widths around the most that threads keep in registers.
    sweep_ways("key_mean", [124, 128, 132, 156, 160, 164, 192, 384, 768, 1024].map(|width| [2, 9, 1, 1, width]));
    sweep_ways("key_mean", [[2, 2048, 5, 3, 64], [3, 196, 1, 12, 64]]);
}
