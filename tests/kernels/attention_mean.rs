use crate::sweep_ways;

#[test]
fn agrees_at_every_small_size() {
    sweep_ways(
        "attention_mean",
        (1..=64).map(|patches| [1 + patches % 3, patches, 1 + patches % 2, 1 + patches % 4, 4 * (1 + patches % 6)]),
    );
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_ways("attention_mean", [65, 97, 127, 128, 129].map(|patches| [1, patches, 5, 1, 20]));
    sweep_ways("attention_mean", [[2, 196, 1, 3, 64], [1, 576, 1, 1, 16], [1, 49, 1, 12, 80], [3, 31, 2, 2, 132]]);
}
