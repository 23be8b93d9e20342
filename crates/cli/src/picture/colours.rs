//! Colours whose lightness increases evenly, so that the order is visible in print and to colour-blind readers.

/// Ten steps of matplotlib's viridis, from dark violet to yellow.
const VIRIDIS: [[u8; 3]; 10] = [
    [0x44, 0x01, 0x54],
    [0x48, 0x28, 0x78],
    [0x3e, 0x49, 0x89],
    [0x31, 0x68, 0x8e],
    [0x26, 0x82, 0x8e],
    [0x1f, 0x9e, 0x89],
    [0x35, 0xb7, 0x79],
    [0x6e, 0xce, 0x58],
    [0xb5, 0xde, 0x2b],
    [0xfd, 0xe7, 0x25],
];

/// The colour of `share`, from 0 (dark) to 1 (light). Values outside take the nearer end, and NaN takes the dark end.
pub fn viridis(share: f64) -> [u8; 3] {
    let last = VIRIDIS.len() - 1;
    let at = share.clamp(0.0, 1.0) * last as f64;
    // NaN becomes 0.
    let low = (at as usize).min(last - 1);
    let part = if at.is_nan() { 0.0 } else { at - low as f64 };
    let (dark, light) = (VIRIDIS[low], VIRIDIS[low + 1]);
    std::array::from_fn(|c| (f64::from(dark[c]) * (1.0 - part) + f64::from(light[c]) * part).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viridis_runs_from_dark_to_light() {
        assert_eq!((viridis(0.0), viridis(1.0)), (VIRIDIS[0], VIRIDIS[9]));
        assert_eq!((viridis(-3.0), viridis(f64::NAN), viridis(f64::INFINITY)), (VIRIDIS[0], VIRIDIS[0], VIRIDIS[9]));
        let light = |[r, g, b]: [u8; 3]| 0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b);
        let steps: Vec<f64> = (0..=100).map(|step| light(viridis(f64::from(step) / 100.0))).collect();
        assert!(steps.is_sorted_by(|a, b| a < b), "{steps:?}");
    }
}
