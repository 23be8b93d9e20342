//! Times the sessions of one model in turns.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use tcvit::cost::Cost;
use tcvit::low_level::gpu::Internals;
use tcvit::low_level::random::Random;
use tcvit::timing::{Distribution, Gain, Rounds, in_turns};
use tcvit::{Context, Model, Result, Session, SessionOptions};

use super::cases::Subject;
use super::ceiling;
use super::gpu_time::GpuTime;
use super::origin::Origin;
use super::result::{Compared, Latency, Loaded, Measured, Report};
use crate::options::{DeviceOptions, Work};
use crate::output::describe;

/// How often forwards are timed, and until when.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub repeats: usize,
    pub end: Instant,
}

/// One part of an [`Effort`].
#[derive(Clone, Copy, Debug)]
pub struct Share {
    repeats: usize,
    time: Duration,
}

impl Effort {
    /// The next of `left` equal parts of the remaining time.
    pub fn share(&self, left: usize) -> Share {
        let time = self.end.saturating_duration_since(Instant::now()) / left.max(1) as u32;
        Share { repeats: self.repeats, time }
    }
}

/// The least number of timed forwards. Fewer have no spread.
const LEAST: usize = 3;
/// How long the warm-up keeps a GPU busy, so that its clocks rise.
const WARM: Duration = Duration::from_millis(300);
/// The most profiles that are taken, if there is time.
const PROFILES: usize = 5;

impl Share {
    fn rounds(&self, part: f64, least: usize, most: usize) -> Rounds {
        let most = most.min(self.repeats);
        Rounds { warm_up: 0, least: least.min(most), most, limit: self.time.mul_f64(part) }
    }
}

/// A model on a device that was opened only for it, so that the first answer takes as long as it takes for a user.
pub struct Bench<'a> {
    subject: &'a Subject,
    context: Context,
    model: Model,
    /// Index of the model in the report.
    index: usize,
}

/// A session, and the time that it took to open it and run it first.
struct Runner {
    session: Session,
    name: String,
    record_seconds: f64,
    first_forward_seconds: f64,
}

impl<'a> Bench<'a> {
    pub fn open(device: &DeviceOptions, subject: &'a Subject, report: &mut Report) -> Result<Self> {
        let start = Instant::now();
        let context = device.open(Work::Long)?;
        let open_seconds = start.elapsed().as_secs_f64();
        let model = subject.load(&context)?;
        report.models.push(Loaded {
            model: subject.model_name(),
            precision: model.precision(),
            open_seconds,
            load_seconds: start.elapsed().as_secs_f64() - open_seconds,
            first_answer_seconds: None,
        });
        if report.origin.date.is_empty() {
            report.origin = Origin::of(&context);
        }
        Ok(Self { subject, context, model, index: report.models.len() - 1 })
    }

    /// Times the full model and its condensations at one batch size.
    pub fn run(&mut self, batch: usize, share: Share, report: &mut Report) -> Result<()> {
        let start = Instant::now();
        let pixels = Random::named("pixels", 1).tensor(batch * self.model.config().pixels(), 0.0, 1.5);
        let runners = self.runners(batch, &pixels)?;
        let loaded = &mut report.models[self.index];
        let first = runners.first().map(|full| full.record_seconds + full.first_forward_seconds);
        loaded.first_answer_seconds =
            loaded.first_answer_seconds.or(first.map(|first| loaded.open_seconds + loaded.load_seconds + first));
        let share = Share { time: share.time.saturating_sub(start.elapsed()), ..share };
        let results = self.time(batch, &pixels, &runners, share)?;
        report.results.extend(results);
        drop(runners);
        // The ceiling is measured after the first answer, because it compiles pipelines, and without the sessions'
        // memory.
        if report.ceiling.is_none() {
            report.ceiling = Some(ceiling::measure(&self.context)?);
        }
        Ok(())
    }

    /// Opens the full model and then each condensation, and runs each once.
    fn runners(&self, batch: usize, pixels: &[f32]) -> Result<Vec<Runner>> {
        let mut runners: Vec<Runner> = Vec::new();
        for condensation in std::iter::once(None).chain(self.subject.condensations.iter().map(Some)) {
            let start = Instant::now();
            let mut options = SessionOptions::new().batch(batch).condensation(condensation.cloned());
            if let Some(attention) = self.subject.attention {
                options = options.attention(attention);
            }
            let session = self.model.session(options)?;
            let record_seconds = start.elapsed().as_secs_f64();
            let name = describe(session.plan());
            if runners.iter().any(|runner| runner.name == name) {
                continue;
            }
            session.run(pixels, Default::default())?;
            let first_forward_seconds = start.elapsed().as_secs_f64() - record_seconds;
            runners.push(Runner { session, name, record_seconds, first_forward_seconds });
        }
        Ok(runners)
    }

    fn time(&self, batch: usize, pixels: &[f32], runners: &[Runner], share: Share) -> Result<Vec<Measured>> {
        self.warm_up(runners)?;
        let rounds = share.rounds(0.6, LEAST, usize::MAX);
        let whole = in_turns(runners, rounds, |runner| runner.session.run(pixels, Default::default()).map(drop))?;
        let device = match runners.iter().all(|runner| runner.session.run_size() == batch) {
            true => Some(in_turns(runners, share.rounds(0.2, 1, usize::MAX), |runner| self.forward(&runner.session))?),
            false => None,
        };
        let profiles = self.profiles(runners, share.rounds(0.2, 1, PROFILES))?;
        let mut results: Vec<Measured> = Vec::new();
        for (index, runner) in runners.iter().enumerate() {
            let device = device.as_deref();
            let gpu = GpuTime::new(&profiles[index], batch.div_ceil(runner.session.run_size()));
            let mut measured = self.measured(runner, &whole[index], device.map(|times| &times[index][..]), gpu);
            measured.gain = results.first().map(|full| {
                let costs = [full.multiply_adds, measured.multiply_adds];
                let gain = |times: &[Vec<f64>]| Gain::new(&times[0], &times[index], costs);
                Compared::new(&gain(&whole), device.map(gain).as_ref())
            });
            results.push(measured);
        }
        Ok(results)
    }

    /// Keeps the device busy until its clocks have risen, if they rise under load. A GPU idles while sessions are
    /// opened, and is then up to six times as slow.
    fn warm_up(&self, runners: &[Runner]) -> Result<()> {
        let start = Instant::now();
        let rises = self.context.traits().clocks_rise;
        while rises && start.elapsed() < WARM {
            runners.iter().try_for_each(|runner| self.forward(&runner.session))?;
        }
        Ok(())
    }

    /// Runs one forward on the current input and leaves the results on the device.
    fn forward(&self, session: &Session) -> Result<()> {
        let mut encoder = self.context.device().create_command_encoder(&Default::default());
        session.record_into(&mut encoder)?;
        self.context.queue().submit([encoder.finish()]);
        self.context.wait("bench")
    }

    /// Takes profiles of each session. There are none if the adapter does not measure GPU time.
    fn profiles(&self, runners: &[Runner], rounds: Rounds) -> Result<Vec<Vec<Vec<tcvit::low_level::gpu::KernelTime>>>> {
        let profiles = RefCell::new(vec![Vec::new(); runners.len()]);
        if self.context.can_profile() {
            let numbered: Vec<(usize, &Runner)> = runners.iter().enumerate().collect();
            in_turns(&numbered, rounds, |(index, runner)| {
                profiles.borrow_mut()[*index].push(runner.session.profile()?);
                Ok(())
            })?;
        }
        Ok(profiles.into_inner())
    }

    fn measured(&self, runner: &Runner, whole: &[f64], device: Option<&[f64]>, gpu: Option<GpuTime>) -> Measured {
        let (session, batch) = (&runner.session, runner.session.batch());
        let (whole, device) = (Distribution::of(whole), device.map(Distribution::of));
        let cost = Cost::of(session.plan());
        let latency = Latency { p50: whole.median() * 1e3, p95: whole.quantile(0.95) * 1e3 };
        let work = 2.0 * (cost.network() * batch as u64) as f64;
        Measured {
            model: self.subject.model_name(),
            precision: self.model.precision(),
            batch,
            condensation: runner.name.clone(),
            drops: session.plan().blocks.iter().map(|block| block.dropped).collect(),
            run_size: session.run_size(),
            multiply_adds: cost.network(),
            condensing_multiply_adds: cost.connectivity,
            record_seconds: runner.record_seconds,
            first_forward_seconds: runner.first_forward_seconds,
            seconds: (&whole).into(),
            device_seconds: device.as_ref().map(Into::into),
            images_per_second: batch as f64 / whole.median(),
            latency_milliseconds: (batch == 1).then_some(latency),
            flops_per_second: work / device.as_ref().unwrap_or(&whole).median(),
            utilisation: None,
            gain: None,
            gpu,
        }
    }
}
