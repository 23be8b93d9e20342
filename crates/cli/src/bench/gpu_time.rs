//! GPU time of a forward by kernel, and the share that condensing takes.

use serde::Serialize;
use tcvit::low_level::gpu::KernelTime;
use tcvit::timing::Distribution;

/// GPU time of a batch: each kernel's median over several profiles, and the sums of these medians.
#[derive(Clone, Debug, Serialize)]
pub struct GpuTime {
    /// How many profiles were taken.
    pub profiles: usize,
    /// GPU time of one batch.
    pub milliseconds: f64,
    pub condensing_milliseconds: f64,
    /// Condensing as a share of the GPU time.
    pub condensing_share: f64,
    /// The kernels, in descending order of time.
    pub kernels: Vec<KernelShare>,
}

/// All dispatches of one kernel in one batch.
#[derive(Clone, Debug, Serialize)]
pub struct KernelShare {
    pub kernel: String,
    /// Whether these dispatches condense. A kernel that runs both inside and outside condensing has two entries.
    pub condensing: bool,
    pub dispatches: usize,
    pub milliseconds: f64,
    pub share: f64,
}

/// The stage of the dispatches that condense.
const CONDENSE: &str = "condense";

impl GpuTime {
    /// Sums up profiles of a session, where `runs` runs make a batch. `None` without profiles.
    pub fn new(profiles: &[Vec<KernelTime>], runs: usize) -> Option<Self> {
        let first = profiles.first()?;
        let median = |own: (&str, bool)| {
            let of_kernel = |times: &Vec<KernelTime>| -> f64 {
                times.iter().filter(|time| key(time) == own).map(|time| time.nanoseconds).sum()
            };
            Distribution::of(&profiles.iter().map(of_kernel).collect::<Vec<f64>>()).median() * runs as f64 / 1e6
        };
        let mut keys: Vec<(&str, bool)> = first.iter().map(key).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut kernels: Vec<KernelShare> = keys
            .into_iter()
            .map(|own| KernelShare {
                kernel: own.0.to_owned(),
                condensing: own.1,
                dispatches: first.iter().filter(|time| key(time) == own).count() * runs,
                milliseconds: median(own),
                share: 0.0,
            })
            .collect();
        kernels.sort_by(|a, b| b.milliseconds.total_cmp(&a.milliseconds));
        let sum = |condensing_only: bool| {
            let counted = kernels.iter().filter(|kernel| kernel.condensing || !condensing_only);
            counted.fold(0.0, |sum, kernel| sum + kernel.milliseconds)
        };
        let (milliseconds, condensing_milliseconds) = (sum(false), sum(true));
        kernels.iter_mut().for_each(|kernel| kernel.share = kernel.milliseconds / milliseconds);
        let condensing_share = condensing_milliseconds / milliseconds;
        Some(Self { profiles: profiles.len(), milliseconds, condensing_milliseconds, condensing_share, kernels })
    }
}

fn key(time: &KernelTime) -> (&'static str, bool) {
    (time.kernel, time.stage == CONDENSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_summed_and_profiles_are_not_averaged() {
        let profile = |scale: f64| {
            let time = |stage, block, kernel, ns: f64| KernelTime {
                stage,
                block: Some(block),
                kernel,
                nanoseconds: ns * scale * 1e6,
            };
            vec![
                time("block", 0, "linear", 4.0),
                time("condense", 0, "softmax", 1.0),
                time("block", 0, "softmax", 2.0),
                time("block", 1, "linear", 3.0),
            ]
        };
        let time = GpuTime::new(&[profile(1.0), profile(100.0), profile(1.0)], 2).unwrap();
        assert_eq!((time.profiles, time.milliseconds, time.condensing_milliseconds), (3, 20.0, 2.0));
        assert_eq!(time.condensing_share, 0.1);
        let kernels: Vec<_> =
            time.kernels.iter().map(|k| (k.kernel.as_str(), k.condensing, k.dispatches, k.share)).collect();
        assert_eq!(kernels, [("linear", false, 4, 0.7), ("softmax", false, 2, 0.2), ("softmax", true, 2, 0.1)]);
        assert!(GpuTime::new(&[], 1).is_none());
    }
}
