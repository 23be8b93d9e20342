//! Times systems in turns, and summarises the times.

use std::time::Instant;

use crate::Failure;
use crate::peer::Peer;

/// How forwards are timed.
#[derive(Clone, Copy)]
pub struct Method {
    /// Untimed turns of each system.
    pub warm_up: usize,
    /// Timed turns of each system.
    pub repeats: usize,
    /// Forwards that a turn starts one after the other before it waits once.
    pub forwards: usize,
    /// Whether a turn includes the upload of pixels and the download of logits. Forwards then run one at a time.
    pub transfers: bool,
    /// Seconds of timed turns after which a system takes no more turns.
    pub limit: f64,
}

/// Runs one turn. Returns the seconds of one forward.
pub fn turn(peer: &mut dyn Peer, pixels: &[f32], method: &Method) -> Result<f64, Failure> {
    let start = Instant::now();
    for _ in 0..method.forwards {
        if method.transfers {
            peer.upload(pixels)?;
            peer.forward()?;
            std::hint::black_box(peer.download()?);
        } else {
            peer.forward()?;
        }
    }
    peer.wait()?;
    Ok(start.elapsed().as_secs_f64() / method.forwards as f64)
}

/// Seconds per forward of each system, by round. `None` for rounds after the system's limit.
pub fn rounds(peers: &mut [Box<dyn Peer>], pixels: &[f32], method: &Method) -> Result<Vec<Vec<Option<f64>>>, Failure> {
    let mut seconds = vec![Vec::new(); peers.len()];
    let mut spent = vec![0.0; peers.len()];
    for round in 0..method.repeats {
        for position in 0..peers.len() {
            // Each round starts with another system, so that no system always runs after the same one.
            let index = (round + position) % peers.len();
            let time =
                if spent[index] < method.limit { Some(turn(peers[index].as_mut(), pixels, method)?) } else { None };
            spent[index] += time.unwrap_or(0.0) * method.forwards as f64;
            seconds[index].push(time);
        }
    }
    Ok(seconds)
}

/// The median of many numbers, and their range.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Self { median, least, most })
    }

    /// How many times as fast `seconds` are as `base`, round by round. A slowdown of a whole round cancels.
    pub fn of_ratios(seconds: &[Option<f64>], base: &[Option<f64>]) -> Option<Self> {
        Self::of(seconds.iter().zip(base).filter_map(|(own, base)| Some((*base)? / (*own)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_of_odd_and_even_counts() {
        let spread = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.least, spread.most), (2.0, 1.0, 3.0));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert!(Spread::of([]).is_none());
    }

    #[test]
    fn ratios_pair_rounds() {
        let ratio = Spread::of_ratios(&[Some(2.0), None, Some(8.0)], &[Some(1.0), Some(1.0), Some(2.0)]).unwrap();
        assert_eq!((ratio.median, ratio.least, ratio.most), (0.375, 0.25, 0.5));
    }
}
