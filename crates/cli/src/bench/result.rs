//! The results of a bench: the fields of the JSON output, and figures derived from them.

use serde::{Serialize, Serializer};
use tcvit::Error;
use tcvit::low_level::gpu::Precision;
use tcvit::timing::{Distribution, Gain};

use super::ceiling::Ceiling;
use super::gpu_time::GpuTime;
use super::origin::{NOISY, Origin};

#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub origin: Origin,
    pub ceiling: Option<Ceiling>,
    pub models: Vec<Loaded>,
    /// Groups of one model, precision and batch size. The full model comes first in each group.
    pub results: Vec<Measured>,
    pub failures: Vec<Failure>,
}

/// The times from opening a device to the model's first answer.
#[derive(Clone, Debug, Serialize)]
pub struct Loaded {
    pub model: String,
    #[serde(serialize_with = "displayed")]
    pub precision: Precision,
    /// Seconds to open the adapter.
    pub open_seconds: f64,
    /// Seconds to read the weights and upload them.
    pub load_seconds: f64,
    /// Seconds to the first answer: `open_seconds`, `load_seconds`, opening the first session of the full model (which
    /// compiles pipelines), and its first forward.
    pub first_answer_seconds: Option<f64>,
}

/// A batch that the device refused.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The model and its precision.
    pub subject: String,
    pub batch: usize,
    pub error: String,
}

/// The figures of one session.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub model: String,
    #[serde(serialize_with = "displayed")]
    pub precision: Precision,
    pub batch: usize,
    /// `full`, or the condensation and its R.
    pub condensation: String,
    /// R of each block.
    pub drops: Vec<usize>,
    /// Images in one run on the device. Fewer than the batch if the batch does not fit.
    pub run_size: usize,
    /// Multiply-adds of one image in the network, without condensing.
    pub multiply_adds: u64,
    /// Multiply-adds of one image for condensing.
    pub condensing_multiply_adds: u64,
    /// Seconds to open the session.
    pub record_seconds: f64,
    /// Seconds of the first forward, which warms up.
    pub first_forward_seconds: f64,
    /// Seconds of one batch: upload, forward and read-back.
    pub seconds: Times,
    /// Seconds of one batch for the forward alone, from encoding its commands until the device is done. `None` if the
    /// batch takes several runs.
    pub device_seconds: Option<Times>,
    pub images_per_second: f64,
    /// Milliseconds of one image at batch size 1, with upload and read-back.
    pub latency_milliseconds: Option<Latency>,
    /// 2 x `multiply_adds` x batch / `device_seconds`, or / `seconds` if `device_seconds` is missing.
    pub flops_per_second: f64,
    /// `flops_per_second` as a share of the ceiling for this precision.
    pub utilisation: Option<f64>,
    /// The gain over the full model of the group. `None` for the full model.
    pub gain: Option<Compared>,
    pub gpu: Option<GpuTime>,
}

/// The distribution of the times of one batch, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Times {
    pub count: usize,
    pub median: f64,
    pub lower_quartile: f64,
    pub upper_quartile: f64,
    pub p95: f64,
    /// The distance of the quartiles as a share of the median.
    pub spread: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p95: f64,
}

/// A condensed model compared with the full one.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Compared {
    /// Speed-up: the median over rounds of full `seconds` / condensed `seconds`. Both times of a round are taken close
    /// together.
    pub speedup: f64,
    /// Quartiles of the ratios of all rounds.
    pub speedup_quartiles: [f64; 2],
    /// The least and the greatest ratio of all rounds.
    pub speedup_range: [f64; 2],
    /// Full `multiply_adds` / condensed `multiply_adds`.
    pub ideal_speedup: f64,
    /// `speedup` / `ideal_speedup`.
    pub realised_share: f64,
    /// The speed-up by `device_seconds`.
    pub device_speedup: Option<f64>,
    pub device_realised_share: Option<f64>,
}

impl From<&Distribution> for Times {
    fn from(values: &Distribution) -> Self {
        Self {
            count: values.count(),
            median: values.median(),
            lower_quartile: values.quantile(0.25),
            upper_quartile: values.quantile(0.75),
            p95: values.quantile(0.95),
            spread: values.spread(),
        }
    }
}

impl Compared {
    pub fn new(gain: &Gain, device: Option<&Gain>) -> Self {
        let of = |shares: [f64; 2]| shares.map(|share| gain.speedups.quantile(share));
        Self {
            speedup: gain.speedup(),
            speedup_quartiles: of([0.25, 0.75]),
            speedup_range: of([0.0, 1.0]),
            ideal_speedup: gain.ideal,
            realised_share: gain.share(),
            device_speedup: device.map(Gain::speedup),
            device_realised_share: device.map(Gain::share),
        }
    }
}

impl Report {
    pub fn fail(&mut self, subject: String, batch: usize, error: &Error) {
        self.failures.push(Failure { subject, batch, error: error.to_string() });
    }

    /// Adds the figures that depend on all results.
    pub fn finish(mut self) -> Self {
        for result in &mut self.results {
            let ceiling = self.ceiling.map(|ceiling| ceiling.flops_per_second(result.precision));
            result.utilisation = ceiling.map(|ceiling| result.flops_per_second / ceiling);
        }
        let spreads = self.results.iter().map(|result| result.seconds.spread);
        self.origin.widest_spread = spreads.fold(0.0, f64::max);
        self.origin.noisy = self.origin.widest_spread > NOISY;
        self
    }

    /// The results in groups of one model, precision and batch size, with the full model first.
    pub fn groups(&self) -> impl Iterator<Item = &[Measured]> {
        self.results.chunk_by(|a, b| (&a.model, a.precision, a.batch) == (&b.model, b.precision, b.batch))
    }
}

/// Serializes `value` as the text that it displays.
pub fn displayed<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
