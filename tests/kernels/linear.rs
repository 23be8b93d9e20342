use crate::sweep;

#[test]
fn agrees_at_every_small_size() {
    sweep("linear", (1..=18).flat_map(|rows| (1..=9).map(move |columns| [rows, 4 * (1 + rows % 5), columns])));
}

#[test]
fn agrees_around_tiles_powers_of_two_and_real_widths() {
    let rows = [31, 32, 33, 63, 64, 65, 127, 197];
    let columns = [10, 63, 64, 65, 192, 1000];
    sweep("linear", rows.into_iter().flat_map(|m| columns.map(|n| [m, 4 * (m % 7 + 1), n])));
    sweep("linear", [[577, 384, 384], [197, 768, 192], [1370, 64, 192], [1, 1024, 1000], [13, 588, 29]]);
}
