//! A session: a model with a batch size and a condensation, recorded once and replayed for every batch.

mod encoder;
mod feeder;
mod finite;
mod options;
mod pending;
mod run;
mod stream;
mod upload;

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use image::RgbImage;

use crate::config::VitConfig;
use crate::error::{Error, Result};
use crate::gpu::{KernelTime, Recorder, Recording, in_background, profile, settle};
use crate::input::IntoImage;
use crate::model::Model;
use crate::plan::Plan;
use crate::stage::{Forward, Results, attention};
use crate::trace::Trace;
use crate::workspace::Workspace;

pub use options::{Outputs, Preprocessing, SessionOptions};
pub use pending::Pending;
pub use stream::Predictions;

use run::Slots;
use upload::{Input, Uploads};

/// A recorded forward. Its buffers hold one batch. Threads that share a session take turns. While the GPU computes one
/// batch, the next one can be uploaded. Cloning is cheap, and a clone is the same session.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    model: Model,
    plan: Plan,
    batch: usize,
    chunk: usize,
    workspace: Workspace,
    outputs: Results,
    recording: Recording,
    preprocessing: Preprocessing,
    slots: Slots,
    uploads: Mutex<Uploads>,
}

impl Session {
    pub(crate) async fn new(model: Model, options: SessionOptions) -> Result<Self> {
        let context = model.context();
        let (config, condensation) = (model.config(), options.condensation.as_ref());
        if let (Some(tuned), Some(other)) = (model.condensation(), condensation)
            && !tuned.same_results(other)
        {
            tracing::warn!(%tuned, schedule = ?tuned.schedule, %other, other_schedule = ?other.schedule, "the model was tuned for another condensation");
        }
        let plan = Plan::new(config, condensation)?;
        let attention = match options.attention {
            Some(attention) => attention,
            None => attention::fastest(context, model.weights(), &plan, options.batch, options.inspect).await?,
        };
        attention::check(context, config, model.precision(), attention)?;
        let plan = plan.with_attention(attention);
        let chunk = plan.chunk(options.batch, context.max_binding())?;
        let (workspace, outputs, recording) = settle(context, |context| {
            let workspace = Workspace::new(context, &plan, model.precision(), chunk)?;
            let mut recorder = Recorder::of_verified(context);
            let (weights, inspect) = (model.weights(), options.inspect);
            let outputs = Forward { plan: &plan, weights, workspace: &workspace, images: chunk, inspect }
                .record(context, &mut recorder)?;
            Ok((workspace, outputs, recorder.finish()?))
        })
        .await?;
        context.keep_pipelines();
        context.keep_choices();
        tracing::info!(
            batch = options.batch,
            run = chunk,
            dispatches = recording.len(),
            attention = ?plan.attention,
            "session recorded"
        );
        let uploads = Mutex::new(Uploads::new(context));
        Ok(Self(Arc::new(Inner {
            model,
            plan,
            batch: options.batch,
            chunk,
            workspace,
            outputs,
            recording,
            preprocessing: options.preprocessing,
            slots: Slots::default(),
            uploads,
        })))
    }

    /// Logits [B, classes] of normalised pixels [B, 3, image, image], for any B.
    ///
    /// # Errors
    /// [`Error::Shape`] when the pixels are not whole images; otherwise as [`Session::run`].
    pub fn logits(&self, pixels: &[f32]) -> Result<Vec<f32>> {
        Ok(self.run(pixels, Outputs::logits())?.logits)
    }

    /// Features [B, T, D] of normalised pixels [B, 3, image, image]: the tokens after the final norm, prefix tokens
    /// first. T is [`Plan::last_tokens`].
    ///
    /// # Errors
    /// As [`Session::logits`].
    pub fn features(&self, pixels: &[f32]) -> Result<Vec<f32>> {
        Ok(self.run(pixels, Outputs::logits().features())?.features)
    }

    /// Runs normalised pixels [B, 3, image, image], for any B, and reads back the `wanted` outputs. The others stay
    /// empty.
    ///
    /// # Errors
    /// [`Error::Shape`] when the pixels are not whole images, [`Error::NotFinite`] when pixels or results are not
    /// finite numbers, [`Error::Device`] when the device fails.
    pub fn run(&self, pixels: &[f32], wanted: Outputs) -> Result<Trace> {
        self.check_pixels(pixels)?;
        let mut pending = Pending::new(self, wanted);
        self.runs_of(pixels).try_for_each(|run| pending.push(run))?;
        pending.wait()
    }

    /// Like [`Session::run`], on a thread of its own, so the future never blocks the thread that polls it. If the
    /// future is dropped, the forward still runs, and its results are lost.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn run_async(&self, pixels: Vec<f32>, wanted: Outputs) -> Result<Trace> {
        let session = self.clone();
        in_background("forward", move || session.run(&pixels, wanted)).await
    }

    /// Like [`Session::run`], for any number of photographs.
    ///
    /// # Errors
    /// As [`Session::classify`], except that the model needs no head.
    pub fn run_images<I>(&self, images: I, wanted: Outputs) -> Result<Trace>
    where
        I: IntoIterator<Item: IntoImage>,
    {
        self.run_images_from(0, images, wanted)
    }

    /// As [`Session::run_images`], of images that are numbered from `first` on in errors.
    fn run_images_from<I>(&self, first: usize, images: I, wanted: Outputs) -> Result<Trace>
    where
        I: IntoIterator<Item: IntoImage>,
    {
        let images = self.checked_images(images, first)?;
        let mut pending = Pending::new(self, wanted);
        images.chunks(self.0.chunk).try_for_each(|run| pending.push(Input::Photographs(run)))?;
        pending.wait()
    }

    /// Submits normalised pixels [B, 3, image, image] and does not wait for the results. The device runs submissions one
    /// after the other. If the images need more than two runs, the others are copied, and the [`Pending`] uploads and submits
    /// them while it is waited for, asked or polled: [`Session::run_async`] does this work on a thread instead. Some drivers
    /// block a submission while an earlier one runs, as Mesa's llvmpipe does.
    ///
    /// ```no_run
    /// # fn next() -> Option<Vec<f32>> { None }
    /// # fn two(session: tcvit::Session) -> tcvit::Result<()> {
    /// let mut before = None;
    /// while let Some(pixels) = next() {
    ///     let pending = session.submit(&pixels, tcvit::Outputs::logits())?;
    ///     // The GPU works on `pixels` while the program looks at the results of the previous batch.
    ///     if let Some(before) = before.replace(pending) {
    ///         println!("{:?}", before.wait()?.logits);
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn submit(&self, pixels: &[f32], wanted: Outputs) -> Result<Pending> {
        self.check_pixels(pixels)?;
        let mut pending = Pending::new(self, wanted);
        self.runs_of(pixels).try_for_each(|run| pending.submit_or_queue(run))?;
        Ok(pending)
    }

    /// Like [`Session::submit`], for photographs, which are prepared as [`SessionOptions::preprocess`] says.
    ///
    /// # Errors
    /// As [`Session::run_images`].
    pub fn submit_images<I>(&self, images: I, wanted: Outputs) -> Result<Pending>
    where
        I: IntoIterator<Item: IntoImage>,
    {
        let images = self.checked_images(images, 0)?;
        let mut pending = Pending::new(self, wanted);
        images.chunks(self.0.chunk).try_for_each(|run| pending.submit_or_queue(Input::Photographs(run)))?;
        Ok(pending)
    }

    fn check_pixels(&self, pixels: &[f32]) -> Result<()> {
        let each = self.0.plan.elements().pixels;
        if pixels.is_empty() || !pixels.len().is_multiple_of(each) {
            let [height, width] = self.config().image;
            return Err(Error::shape(
                "forward",
                format!("pixels [B, 3, {height}, {width}]: a multiple of {each} numbers"),
                format!("{} numbers", pixels.len()),
            ));
        }
        Ok(())
    }

    /// Opens photographs. If one cannot be prepared, the error names its number, and nothing runs.
    fn checked_images<'a, I>(&self, images: I, first: usize) -> Result<Vec<Cow<'a, RgbImage>>>
    where
        I: IntoIterator<Item: IntoImage + 'a>,
    {
        self.config().square("prepare photographs")?;
        let images = self.open_images(images.into_iter().collect(), first)?;
        self.0.model.preprocess().check_batch(&images, first)?;
        Ok(images)
    }

    /// Cuts pixels into runs.
    fn runs_of<'a>(&self, pixels: &'a [f32]) -> impl Iterator<Item = Input<'a>> + use<'a> {
        let each = self.0.plan.elements().pixels * self.0.chunk;
        pixels.chunks(each).enumerate().map(move |(run, pixels)| Input::Pixels { pixels, before: run * each })
    }

    /// Runs the forward once on the current input and returns the GPU time of every dispatch.
    ///
    /// # Errors
    /// [`Error::Device`] when the adapter has no timestamp queries.
    pub fn profile(&self) -> Result<Vec<KernelTime>> {
        profile(self.0.model.context(), &self.0.recording)
    }

    /// The dispatches of a forward.
    pub fn recording(&self) -> &Recording {
        &self.0.recording
    }

    /// Token counts, buffer sizes and the condensation.
    pub fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// Where photographs are prepared: on the CPU or on the GPU.
    pub fn preprocessing(&self) -> Preprocessing {
        self.0.preprocessing
    }

    /// Images in a batch.
    pub fn batch(&self) -> usize {
        self.0.batch
    }

    /// Images in one run on the device: the batch, or an even part of it if the batch does not fit.
    pub fn run_size(&self) -> usize {
        self.0.chunk
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.0.model
    }

    /// The model's configuration.
    pub fn config(&self) -> &VitConfig {
        self.0.model.config()
    }
}
