use crate::{AWKWARD, sweep_ways};

#[test]
fn agrees_at_every_small_size() {
    sweep_ways("attention_mix", (1..=64).map(|tokens| [1 + tokens % 3, tokens, 1 + tokens % 4, 4 * (1 + tokens % 6)]));
    sweep_ways("attention_mix", (1..=24).map(|head4| [1, 1 + head4 % 10, 2, 4 * head4]));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep_ways("attention_mix", AWKWARD.map(|tokens| [1, tokens, 1, 20]));
    sweep_ways("attention_mix", [[2, 197, 3, 64], [1, 577, 2, 64], [1, 1370, 1, 64], [1, 50, 12, 80]]);
}
