//! Times that can be compared: what is compared runs in turns, so that whatever else the machine does falls on all of it,
//! and medians and quartiles are kept instead of means.

use std::time::{Duration, Instant};

use crate::error::Result;

/// How often [`in_turns`] runs everything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounds {
    /// Rounds that are not timed: the first compiles on some drivers.
    pub warm_up: usize,
    /// Timed rounds, however long they take.
    pub least: usize,
    /// Timed rounds, if there is time for them.
    pub most: usize,
    /// After so long, the rounds that are not timed included, there is no next one.
    pub limit: Duration,
}

impl Rounds {
    /// One round to warm up and `count` that are timed.
    pub fn exactly(count: usize) -> Self {
        Self { warm_up: 1, least: count, most: count, limit: Duration::MAX }
    }
}

/// Seconds that `run` takes for each of `items`: one after the other, round after round. For each item those of every
/// round, in order.
///
/// # Errors
/// The first that `run` returns.
pub fn in_turns<T>(items: &[T], rounds: Rounds, mut run: impl FnMut(&T) -> Result<()>) -> Result<Vec<Vec<f64>>> {
    let start = Instant::now();
    let mut seconds = vec![Vec::new(); items.len()];
    for round in 0..rounds.warm_up + rounds.most.max(rounds.least) {
        if round >= rounds.warm_up + rounds.least && start.elapsed() >= rounds.limit {
            break;
        }
        for (item, seconds) in items.iter().zip(&mut seconds) {
            let start = Instant::now();
            run(item)?;
            if round >= rounds.warm_up {
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
    }
    Ok(seconds)
}

/// Where measured values lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    sorted: Vec<f64>,
}

impl Distribution {
    /// Of these values, in any order.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self { sorted }
    }

    /// How many values there are.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The value that a share of `share` of all values does not exceed, between two of them interpolated; NaN where there
    /// are none.
    pub fn quantile(&self, share: f64) -> f64 {
        let Some(last) = self.sorted.len().checked_sub(1) else { return f64::NAN };
        let at = share.clamp(0.0, 1.0) * last as f64;
        let low = self.sorted[at.floor() as usize];
        low + (self.sorted[at.ceil() as usize] - low) * at.fract()
    }

    /// The middle value, or the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// How far the quartiles are apart, as a share of the median: what tells a noisy machine.
    pub fn spread(&self) -> f64 {
        (self.quantile(0.75) - self.quantile(0.25)) / self.median()
    }
}

/// What condensing gains in time, against what it saves in work.
#[derive(Clone, Debug, PartialEq)]
pub struct Gain {
    /// Time of the full model over that of the condensed one, in each round: what slows a machine down for longer than a
    /// round cancels.
    pub speedups: Distribution,
    /// Multiply-adds of the full model over those of the condensed one.
    pub ideal: f64,
}

impl Gain {
    /// From the times of the full and of the condensed model in the same rounds, as [`in_turns`] returns them, and their
    /// multiply-adds: of the network alone ([`Cost::network`](crate::cost::Cost::network)), so that what condensing itself
    /// takes counts as a loss.
    pub fn new(full: &[f64], condensed: &[f64], multiply_adds: [u64; 2]) -> Self {
        let speedups: Vec<f64> = full.iter().zip(condensed).map(|(full, condensed)| full / condensed).collect();
        let ideal = multiply_adds[0] as f64 / multiply_adds[1] as f64;
        Self { speedups: Distribution::of(&speedups), ideal }
    }

    /// The median of the rounds.
    pub fn speedup(&self) -> f64 {
        self.speedups.median()
    }

    /// The realised share: how much of the ideal speed-up there is.
    pub fn share(&self) -> f64 {
        self.speedup() / self.ideal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn everything_has_its_turn() {
        let order = std::cell::RefCell::new(String::new());
        let run = |name: &&str| {
            order.borrow_mut().push_str(name);
            Ok(())
        };
        let times = in_turns(&["a", "b"], Rounds::exactly(2), run).unwrap();
        assert_eq!(order.borrow().as_str(), "ababab");
        assert!(times.len() == 2 && times.iter().all(|times| times.len() == 2 && times.iter().all(|&t| t >= 0.0)));
        // Out of time from the start: only what has to be.
        let rounds = Rounds { warm_up: 0, least: 3, most: 100, limit: Duration::ZERO };
        assert_eq!(in_turns(&["c"], rounds, run).unwrap()[0].len(), 3);
        let failing = |_: &&str| Err(Error::config("test", "success", "failure"));
        assert!(in_turns(&["d"], Rounds::exactly(1), failing).is_err());
        assert_eq!(in_turns::<&str>(&[], Rounds::exactly(1), run).unwrap().len(), 0);
    }

    #[test]
    fn quantiles_interpolate() {
        let values = Distribution::of(&[4.0, 1.0, 3.0, 2.0, 5.0]);
        assert_eq!([0.0, 0.25, 0.5, 0.95, 1.0].map(|q| values.quantile(q)), [1.0, 2.0, 3.0, 4.8, 5.0]);
        assert_eq!((values.median(), values.count()), (3.0, 5));
        assert!((values.spread() - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!(Distribution::of(&[1.0, 2.0]).median(), 1.5);
        assert!(Distribution::of(&[]).median().is_nan());
    }

    #[test]
    fn the_share_is_of_the_ideal() {
        // The machine is three times as slow in the second round, and once it stumbles.
        let gain = Gain::new(&[3.0, 9.0, 3.0], &[2.0, 6.0, 30.0], [400, 200]);
        assert_eq!((gain.speedup(), gain.ideal, gain.share()), (1.5, 2.0, 0.75));
    }
}
