use crate::{AWKWARD, sweep_variants};

#[test]
fn agrees_at_every_small_size() {
    sweep_variants(
        "attention_powers",
        (1..=64).map(|patches| [1 + patches % 3, patches, 1 + patches % 5, 1 + patches % 7]),
    );
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_variants("attention_powers", AWKWARD.map(|patches| [1, patches, 2, 2]));
    sweep_variants("attention_powers", [[2, 196, 1, 12], [1, 197, 2, 6], [1, 577, 1, 3], [1, 1370, 5, 1]]);
}
