//! A session: a model, a batch size and a condensation, recorded once and replayed for every batch.

mod feeder;
mod finite;
mod options;
mod pending;
mod stream;
mod upload;

use std::sync::Mutex;

use image::RgbImage;

use crate::config::VitConfig;
use crate::error::{Error, Result};
use crate::gpu::{KernelTime, Recorder, Recording, profile};
use crate::kernels::texture;
use crate::model::Model;
use crate::plan::Plan;
use crate::stage::{Forward, Outputs, attention};
use crate::trace::Trace;
use crate::workspace::Workspace;

pub use options::{Preprocessing, SessionOptions, Wanted};
pub use pending::Pending;
pub use stream::{IntoImage, Predictions};

use pending::Slots;
use upload::{Input, Uploads};

/// A recorded forward. Its buffers hold one batch; threads that share it take turns, and while the GPU computes one batch
/// the next can be on its way.
pub struct Session {
    model: Model,
    plan: Plan,
    batch: usize,
    chunk: usize,
    workspace: Workspace,
    outputs: Outputs,
    recording: Recording,
    preprocessing: Preprocessing,
    slots: Slots,
    uploads: Mutex<Uploads>,
}

impl Session {
    pub(crate) fn new(model: Model, options: SessionOptions) -> Result<Self> {
        let context = model.context().clone();
        let (config, condensation) = (model.config(), options.condensation.as_ref());
        if let (Some(tuned), Some(other)) = (model.condensation(), condensation)
            && !tuned.same_results(other)
        {
            tracing::warn!(%tuned, schedule = ?tuned.schedule, %other, other_schedule = ?other.schedule, "the model was tuned for another condensation");
        }
        let plan = Plan::new(config, condensation)?;
        let attention = match options.attention {
            Some(attention) => attention,
            None => attention::fastest(&context, model.weights(), &plan, options.batch, options.inspect),
        };
        attention::check(&context, config, model.precision(), attention)?;
        let plan = plan.with_attention(attention);
        let chunk = plan.chunk(options.batch, context.max_binding())?;
        let workspace = Workspace::new(&context, &plan, model.precision(), chunk)?;
        let mut recorder = Recorder::of_verified(&context);
        let inspect = options.inspect;
        let weights = model.weights();
        let outputs = Forward { plan: &plan, weights, workspace: &workspace, images: chunk, inspect }
            .record(&context, &mut recorder)?;
        let recording = recorder.finish()?;
        context.keep_pipelines();
        context.keep_choices();
        tracing::info!(
            batch = options.batch,
            run = chunk,
            dispatches = recording.len(),
            attention = ?plan.attention,
            "session recorded"
        );
        let uploads = Mutex::new(Uploads::new(&context));
        Ok(Self {
            batch: options.batch,
            model,
            plan,
            chunk,
            workspace,
            outputs,
            recording,
            preprocessing: options.preprocessing,
            slots: Slots::default(),
            uploads,
        })
    }

    /// Logits [B, classes] of normalised pixels [B, 3, image, image], for any B.
    ///
    /// # Errors
    /// [`Error::Shape`] when the pixels are not whole images, else as [`Session::run`].
    pub fn logits(&self, pixels: &[f32]) -> Result<Vec<f32>> {
        Ok(self.run(pixels, Wanted::default())?.logits)
    }

    /// Features [B, T, D] of normalised pixels [B, 3, image, image]: tokens after the final norm, prefix tokens first.
    /// T is [`Plan::last_tokens`].
    ///
    /// # Errors
    /// As [`Session::logits`].
    pub fn features(&self, pixels: &[f32]) -> Result<Vec<f32>> {
        Ok(self.run(pixels, Wanted { features: true, ..Wanted::default() })?.features)
    }

    /// Runs normalised pixels [B, 3, image, image], for any B, and reads back what is `wanted`; the rest stays empty.
    ///
    /// # Errors
    /// [`Error::Shape`] when the pixels are not whole images, [`Error::NotFinite`] when pixels or results are not finite
    /// numbers, [`Error::Device`] when the device fails.
    pub fn run(&self, pixels: &[f32], wanted: Wanted) -> Result<Trace> {
        self.submit(pixels, wanted)?.wait()
    }

    /// As [`Session::run`], but of photographs, any number of them.
    ///
    /// # Errors
    /// As [`Session::classify`], but for the head.
    pub fn run_images(&self, images: &[RgbImage], wanted: Wanted) -> Result<Trace> {
        self.submit_images(images, wanted)?.wait()
    }

    /// Submits normalised pixels [B, 3, image, image] and does not wait for the results. What is submitted next waits on
    /// the device, not here; more images than a run takes are submitted as earlier runs end.
    ///
    /// ```no_run
    /// # fn next() -> Option<Vec<f32>> { None }
    /// # fn two(session: tcvit::Session) -> tcvit::Result<()> {
    /// let mut before = None;
    /// while let Some(pixels) = next() {
    ///     let pending = session.submit(&pixels, tcvit::Wanted::default())?;
    ///     // The GPU has `pixels` to work on while the results of those before are looked at.
    ///     if let Some(before) = before.replace(pending) {
    ///         println!("{:?}", before.wait()?.logits);
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn submit(&self, pixels: &[f32], wanted: Wanted) -> Result<Pending<'_>> {
        let each = self.plan.elements().pixels;
        if pixels.is_empty() || !pixels.len().is_multiple_of(each) {
            let [height, width] = self.config().image;
            return Err(Error::shape(
                "forward",
                format!("pixels [B, 3, {height}, {width}]: a multiple of {each} numbers"),
                format!("{} numbers", pixels.len()),
            ));
        }
        self.submit_all(Input::Pixels { pixels, before: 0 }, wanted)
    }

    /// As [`Session::submit`], but of photographs, prepared as [`SessionOptions::preprocess`] says.
    ///
    /// # Errors
    /// As [`Session::run_images`].
    pub fn submit_images(&self, images: &[RgbImage], wanted: Wanted) -> Result<Pending<'_>> {
        self.config().square("prepare photographs")?;
        // Before anything runs, and by their numbers among all of them.
        self.model.preprocess().check_batch(images)?;
        self.submit_all(Input::Photographs(images), wanted)
    }

    fn submit_all(&self, input: Input<'_>, wanted: Wanted) -> Result<Pending<'_>> {
        let mut pending = Pending::new(self, wanted);
        match input {
            Input::Pixels { pixels, before } => {
                let each = self.plan.elements().pixels * self.chunk;
                let mut runs = pixels.chunks(each).enumerate();
                runs.try_for_each(|(run, pixels)| pending.push(Input::Pixels { pixels, before: before + run * each }))?;
            }
            Input::Photographs(images) => {
                images.chunks(self.chunk).try_for_each(|run| pending.push(Input::Photographs(run)))?;
            }
        }
        Ok(pending)
    }

    /// Writes the forward into the application's own encoder: it reads [`Session::input`] and leaves its results in
    /// [`Session::logits_buffer`] and [`Session::features_buffer`]. Nothing is submitted and nothing read back.
    ///
    /// # Errors
    /// [`Error::Limit`] when the batch does not fit the device in one run: use a smaller one.
    pub fn record_into(&self, encoder: &mut wgpu::CommandEncoder) -> Result<()> {
        if self.chunk < self.batch {
            return Err(Error::limit(
                "record into encoder",
                format!("a batch of at most {}, which this device takes in one run", self.chunk),
                self.batch.to_string(),
            ));
        }
        self.recording.encode(encoder);
        Ok(())
    }

    /// Writes into the application's own encoder the resize, crop and normalisation of a texture into image `slot` of
    /// [`Session::input`]. The view must be 2D, in the format of its texture, float or unorm; sRGB is encoded back, which
    /// is what models are trained on.
    ///
    /// # Errors
    /// [`Error::Shape`] for a slot outside the batch, [`Error::Device`] when the view does not suit.
    pub fn record_texture_into(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        view: &wgpu::TextureView,
        slot: usize,
    ) -> Result<()> {
        if slot >= self.chunk {
            return Err(Error::shape("record texture", format!("a slot below {}", self.chunk), slot.to_string()));
        }
        self.config().square("prepare a texture")?;
        let (size, srgb) = (view.texture().size(), view.texture().format().is_srgb());
        let params = self.model.preprocess().texture_params(size.width, size.height, slot as u32, srgb)?;
        let mut recorder = Recorder::new(self.model.context());
        recorder.section("input");
        texture::record(&mut recorder, params, view, &self.workspace.pixels, self.chunk as u32)?;
        recorder.finish()?.encode(encoder);
        Ok(())
    }

    /// Runs the forward once on whatever the input holds and returns the GPU time of every dispatch.
    ///
    /// # Errors
    /// [`Error::Device`] when the adapter has no timestamp queries.
    pub fn profile(&self) -> Result<Vec<KernelTime>> {
        profile(self.model.context(), &self.recording)
    }

    /// Input buffer [B, 3, image, image], normalised pixels.
    pub fn input(&self) -> &wgpu::Buffer {
        &self.workspace.pixels
    }

    /// Output buffer [B, classes].
    pub fn logits_buffer(&self) -> &wgpu::Buffer {
        &self.workspace.logits
    }

    /// Output buffer [B, T, D], T being [`Plan::last_tokens`].
    pub fn features_buffer(&self) -> &wgpu::Buffer {
        &self.outputs.features
    }

    /// Output buffer [B, P]: what a classifier sees of each image. P is [`VitConfig::pooled`].
    pub fn pooled_buffer(&self) -> &wgpu::Buffer {
        &self.outputs.pooled
    }

    /// What a forward dispatches.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Token counts, buffer sizes and the condensation.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where photographs are prepared.
    pub fn preprocessing(&self) -> Preprocessing {
        self.preprocessing
    }

    /// Images in a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Images in one run on the device: the batch, or an even part of it where it does not fit.
    pub fn run_size(&self) -> usize {
        self.chunk
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The model's configuration.
    pub fn config(&self) -> &VitConfig {
        self.model.config()
    }
}
