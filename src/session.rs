//! A session: a model, a batch size and a condensation, recorded once and replayed for every batch.

use image::RgbImage;

use crate::attention;
use crate::condensation::Condensation;
use crate::config::VitConfig;
use crate::error::{Error, Result};
use crate::forward::{self, Stage};
use crate::gpu::{KernelTime, Recorder, Recording, download, profile};
use crate::kernels::texture;
use crate::model::Model;
use crate::plan::{Attention, Plan};
use crate::prediction::Prediction;
use crate::trace::{BlockTrace, Trace};
use crate::workspace::{Selection, Workspace};

/// What a session is opened with. The default is one image, full model.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    batch: usize,
    condensation: Option<Condensation>,
    inspect: bool,
    attention: Option<Attention>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { batch: 1, condensation: None, inspect: false, attention: None }
    }
}

impl SessionOptions {
    /// One image, full model.
    pub fn new() -> Self {
        Self::default()
    }

    /// Images in a batch. A batch that exceeds the adapter's binding limit is split into even runs.
    #[must_use]
    pub fn batch(mut self, images: usize) -> Self {
        self.batch = images;
        self
    }

    /// Condense tokens.
    #[must_use]
    pub fn condense(mut self, condensation: Condensation) -> Self {
        self.condensation = Some(condensation);
        self
    }

    /// Condense or not, as decided elsewhere.
    #[must_use]
    pub fn condensation(mut self, condensation: Option<Condensation>) -> Self {
        self.condensation = condensation;
        self
    }

    /// Run attention so, instead of as is expected to be fastest on the adapter. A device or model that cannot is an error
    /// when the session is opened.
    #[must_use]
    pub fn attention(mut self, attention: Attention) -> Self {
        self.attention = Some(attention);
        self
    }

    /// Keep W of every block that condenses, for [`BlockTrace::connectivity`]: memory for B N^2 numbers a block.
    #[must_use]
    pub fn inspect(mut self) -> Self {
        self.inspect = true;
        self
    }
}

/// Which results [`Session::run`] reads back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Tokens after the final norm too, not only logits.
    pub features: bool,
    /// Scores, kept tokens and assignments of each block too, and W where the session was told to keep it.
    pub blocks: bool,
}

/// A recorded forward. Not shared between threads at once: its buffers hold one batch.
pub struct Session {
    model: Model,
    plan: Plan,
    batch: usize,
    chunk: usize,
    workspace: Workspace,
    features: wgpu::Buffer,
    selections: Vec<Selection>,
    recording: Recording,
}

impl Session {
    pub(crate) fn new(model: Model, options: SessionOptions) -> Result<Self> {
        let context = model.context().clone();
        let (config, condensation) = (model.config(), options.condensation.as_ref());
        let attention = options.attention.unwrap_or_else(|| attention::preferred(&context, config));
        attention::check(&context, config, attention)?;
        let plan = Plan::new(config, condensation)?.with_attention(attention);
        let chunk = plan.chunk(options.batch, context.max_binding())?;
        let workspace = Workspace::new(&context, &plan, chunk)?;
        let mut recorder = Recorder::new(&context);
        let mut selections = Vec::new();
        let mut stage = Stage {
            plan: &plan,
            weights: model.weights(),
            workspace: &workspace,
            images: chunk,
            inspect: options.inspect,
            current: 0,
            patches: plan.config.patches(),
        };
        let features = forward::record(&context, &mut recorder, &mut stage, &mut selections)?;
        let recording = recorder.finish()?;
        tracing::info!(
            batch = options.batch,
            run = chunk,
            dispatches = recording.len(),
            ?attention,
            "session recorded"
        );
        Ok(Self { batch: options.batch, model, plan, chunk, workspace, features, selections, recording })
    }

    /// Classifies photographs: any number of them, a batch at a time.
    ///
    /// ```no_run
    /// # let gpu = tcvit::Context::blocking()?;
    /// let model = tcvit::Model::load(&gpu, "deit_small.safetensors")?;
    /// let session = model.session(tcvit::SessionOptions::new().condense(tcvit::Condensation::training_free()))?;
    /// let photo = tcvit::input::open_image("cat.jpg".as_ref())?;
    /// for guess in session.classify(&[photo])?[0].top(5) {
    ///     println!("{} {:.1} %", guess.name(), guess.probability * 100.0);
    /// }
    /// # Ok::<(), tcvit::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] for a model without a head, [`Error::Image`] for an image that cannot be resized,
    /// [`Error::Device`] when the device fails, [`Error::NotFinite`] when the result is not a number.
    pub fn classify(&self, images: &[RgbImage]) -> Result<Vec<Prediction>> {
        let config = self.config();
        if config.classes == 0 {
            return Err(Error::config(
                "classify",
                "a model with a classification head",
                "one without; ask for features",
            ));
        }
        let mut predictions = Vec::with_capacity(images.len());
        for images in images.chunks(self.batch) {
            let trace = self.run(&self.model.preprocess().pixels_batch(images)?, Wanted::default())?;
            predictions
                .extend(trace.logits.chunks_exact(config.classes).map(|logits| Prediction::of_logits(logits, config)));
        }
        Ok(predictions)
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
        Ok(self.run(pixels, Wanted { features: true, blocks: false })?.features)
    }

    /// Runs normalised pixels [B, 3, image, image], for any B, and reads back what is `wanted`; the rest stays empty.
    ///
    /// # Errors
    /// [`Error::Shape`] when the pixels are not whole images, [`Error::NotFinite`] when pixels or results are not finite
    /// numbers, [`Error::Device`] when the device fails.
    pub fn run(&self, pixels: &[f32], wanted: Wanted) -> Result<Trace> {
        let each = self.plan.elements().pixels;
        if pixels.is_empty() || !pixels.len().is_multiple_of(each) {
            let side = self.config().image;
            return Err(Error::shape(
                "forward",
                format!("pixels [B, 3, {side}, {side}]: a multiple of {each} numbers"),
                format!("{} numbers", pixels.len()),
            ));
        }
        finite("input pixels", pixels)?;
        let mut trace = Trace::default();
        for chunk in pixels.chunks(each * self.chunk) {
            self.model.context().checked("upload pixels", || {
                let bytes = bytemuck::cast_slice(chunk);
                self.model.context().queue().write_buffer(&self.workspace.pixels, 0, bytes);
                Ok(())
            })?;
            self.recording.submit(self.model.context())?;
            trace.extend(self.read_back(chunk.len() / each, wanted)?);
        }
        Ok(trace)
    }

    /// Results of the forward that was submitted last, for its first `images` images.
    ///
    /// # Errors
    /// [`Error::Shape`] for more images than the session's batch; else as [`Session::run`].
    pub fn read_back(&self, images: usize, wanted: Wanted) -> Result<Trace> {
        if images > self.chunk {
            return Err(Error::shape("read back", format!("at most {} images", self.chunk), images.to_string()));
        }
        let (context, config) = (self.model.context(), self.config());
        let mut trace = Trace {
            images,
            tokens: self.plan.last_tokens(),
            width: config.width,
            classes: config.classes,
            ..Trace::default()
        };
        context.wait("read back")?;
        trace.logits = download(context, &self.workspace.logits, images * config.classes)?;
        finite("logits", &trace.logits)?;
        if wanted.features {
            trace.features = download(context, &self.features, images * trace.tokens * config.width)?;
            finite("features", &trace.features)?;
        }
        for selection in self.selections.iter().filter(|_| wanted.blocks) {
            let read = |buffer, each| download::<u32>(context, buffer, images * each);
            let order = read(&selection.order, selection.patches)?;
            let slot = read(&selection.slot, selection.patches)?;
            let fuses = self.plan.condensation.as_ref().is_some_and(Condensation::fuses);
            let matches = if fuses { Some(read(&selection.assigned, selection.dropped)?) } else { None };
            let mut block = BlockTrace::new(selection.block, selection.patches, &order, &slot, matches.as_deref());
            block.score = download(context, &selection.score, images * selection.patches)?;
            if let Some(w) = &selection.connectivity {
                block.connectivity = download(context, w, images * selection.patches.pow(2))?;
            }
            trace.blocks.push(block);
        }
        Ok(trace)
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
        &self.features
    }

    /// Token counts, buffer sizes and the condensation.
    pub fn plan(&self) -> &Plan {
        &self.plan
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

fn finite(what: &str, values: &[f32]) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::not_finite("forward", format!("finite {what}"), format!("{} at {at}", values[at]))),
    }
}
