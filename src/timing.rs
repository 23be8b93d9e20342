//! Measures times that can be compared. The items to compare run in turns, so that other load on the machine affects
//! all of them alike. Results are medians and quartiles instead of means.

use std::time::{Duration, Instant};

use crate::error::Result;

/// How often [`in_turns`] runs every item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounds {
    /// Rounds before the timed ones: some drivers compile in the first round.
    pub warm_up: usize,
    /// The least number of timed rounds, which are run even past `limit`.
    pub least: usize,
    /// The largest number of timed rounds.
    pub most: usize,
    /// No further round starts after this time, which includes the rounds that are not timed.
    pub limit: Duration,
}

impl Rounds {
    /// One round to warm up and `count` timed rounds.
    pub fn exactly(count: usize) -> Self {
        Self { warm_up: 1, least: count, most: count, limit: Duration::MAX }
    }
}

/// Seconds that `run` takes for each of `items`. Each round runs every item once, in order. The result holds, for each
/// item, the times of all timed rounds in order.
///
/// # Errors
/// The first error that `run` returns.
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

/// The distribution of measured values.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    sorted: Vec<f64>,
}

impl Distribution {
    /// The distribution of `values`, which may be in any order.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self { sorted }
    }

    /// How many values there are.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The value that a share of `share` (0 to 1) of all values does not exceed, interpolated between neighbours; NaN
    /// when there are no values.
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

    /// The distance between the quartiles as a share of the median. It is large on a noisy machine.
    pub fn spread(&self) -> f64 {
        (self.quantile(0.75) - self.quantile(0.25)) / self.median()
    }
}

/// The time that condensing gains, compared with the multiply-adds that it saves.
#[derive(Clone, Debug, PartialEq)]
pub struct Gain {
    /// Time of the full model divided by that of the condensed one, in each round. A slowdown of the machine that lasts
    /// longer than a round cancels.
    pub speedups: Distribution,
    /// Multiply-adds of the full model divided by those of the condensed one.
    pub ideal: f64,
}

impl Gain {
    /// The gain from the times of the full and the condensed model in the same rounds, as [`in_turns`] returns them,
    /// and from their multiply-adds. These should be those of the network alone
    /// ([`Cost::network`](crate::cost::Cost::network)), so that the time that condensing itself takes counts as a loss.
    pub fn new(full: &[f64], condensed: &[f64], multiply_adds: [u64; 2]) -> Self {
        let speedups: Vec<f64> = full.iter().zip(condensed).map(|(full, condensed)| full / condensed).collect();
        let ideal = multiply_adds[0] as f64 / multiply_adds[1] as f64;
        Self { speedups: Distribution::of(&speedups), ideal }
    }

    /// The median speed-up over the rounds.
    pub fn speedup(&self) -> f64 {
        self.speedups.median()
    }

    /// The realised share of the ideal speed-up.
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
        // The limit has passed at the start, so only the least number of rounds runs.
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
