//! What a bench found out: the JSON's fields, and what follows from them.

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
    /// In groups of one model, precision and batch, the full model first.
    pub results: Vec<Measured>,
    pub failures: Vec<Failure>,
}

/// A model, from nothing to its first answer.
#[derive(Clone, Debug, Serialize)]
pub struct Loaded {
    pub model: String,
    #[serde(serialize_with = "displayed")]
    pub precision: Precision,
    /// To open the adapter.
    pub open_seconds: f64,
    /// To read weights and put them on the device.
    pub load_seconds: f64,
    /// Both, and the first session of the full model, pipelines compiled on the way, and its first forward.
    pub first_answer_seconds: Option<f64>,
}

/// A batch that the device refused.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Model and precision.
    pub subject: String,
    pub batch: usize,
    pub error: String,
}

/// One session's figures.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub model: String,
    #[serde(serialize_with = "displayed")]
    pub precision: Precision,
    pub batch: usize,
    /// `full`, or what and how much.
    pub condensation: String,
    /// R of each block.
    pub drops: Vec<usize>,
    /// Images in one run on the device, fewer than the batch where that does not fit.
    pub run_size: usize,
    /// Of one image: the network, without condensing.
    pub multiply_adds: u64,
    /// Of one image: condensing.
    pub condensing_multiply_adds: u64,
    /// To open the session.
    pub record_seconds: f64,
    /// The first forward, which warms up.
    pub first_forward_seconds: f64,
    /// Of one batch: upload, forward, read-back.
    pub seconds: Times,
    /// Of one batch: the forward alone, from encoding its commands until the device is done. Not there where the batch
    /// takes several runs.
    pub device_seconds: Option<Times>,
    pub images_per_second: f64,
    /// At batch 1, what one image takes, upload and read-back included.
    pub latency_milliseconds: Option<Latency>,
    /// 2 x `multiply_adds` x batch over `device_seconds`, or `seconds` where those are missing.
    pub flops_per_second: f64,
    /// `flops_per_second` over what the ceiling has for this precision.
    pub utilisation: Option<f64>,
    /// Against the full model of the group.
    pub gain: Option<Compared>,
    pub gpu: Option<GpuTime>,
}

/// Where times of a batch lie, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Times {
    pub count: usize,
    pub median: f64,
    pub lower_quartile: f64,
    pub upper_quartile: f64,
    pub p95: f64,
    /// The quartiles' distance as a share of the median.
    pub spread: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p95: f64,
}

/// A condensed model against the full one.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Compared {
    /// Full `seconds` over condensed ones, the median of the rounds' ratios: two times of a round are of the same moment.
    pub speedup: f64,
    /// Quartiles of the rounds' ratios.
    pub speedup_quartiles: [f64; 2],
    /// The least and the largest of the rounds' ratios.
    pub speedup_range: [f64; 2],
    /// Full `multiply_adds` over condensed ones.
    pub ideal_speedup: f64,
    /// `speedup` over `ideal_speedup`.
    pub realised_share: f64,
    /// The same of `device_seconds`.
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

    /// Adds what follows from all of it.
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

    /// Results of one model, precision and batch, the full model first.
    pub fn groups(&self) -> impl Iterator<Item = &[Measured]> {
        self.results.chunk_by(|a, b| (&a.model, a.precision, a.batch) == (&b.model, b.precision, b.batch))
    }
}

/// Serializes what a value is displayed as.
pub fn displayed<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
