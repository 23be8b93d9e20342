use crate::sweep;

#[test]
fn agrees_at_every_small_size_and_at_real_ones() {
    sweep("trim", (1..=17).flat_map(|rows| (1..=17).map(move |columns| [rows, columns])));
    sweep("trim", [[128, 10], [64, 1000], [7, 999], [65, 1001]]);
}
