//! Turns any number of photographs into predictions, in order. All cores decode and prepare photographs while the GPU
//! works, and one batch is uploaded while another one is computed.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;

use image::RgbImage;

use super::feeder::Feeder;
use super::pending::DEPTH;
use super::{Outputs, Pending, Preprocessing, Session};
use crate::error::{Error, Result};
use crate::gpu::in_background;
use crate::input::{IntoImage, of_image};
use crate::prediction::Prediction;

/// An image that is ready for upload.
enum Prepared {
    Pixels(Vec<f32>),
    Image(RgbImage),
}

/// The iterator that [`Session::stream`] returns. If it is dropped, the remaining images are not computed.
pub struct Predictions<I: Iterator>(Answers<I, Arc<Feeder<I, Prepared>>>);

impl Session {
    /// Classifies images as `images` yields them, and returns an iterator of predictions in the same order. `images` is
    /// an iterator of paths, images or results of these ([`IntoImage`]). If an image cannot be read or prepared, its
    /// item is an error, and the iterator goes on. After any other error the iterator ends. Threads take about two
    /// batches from `images` ahead. A batch is computed once it is full or `images` have ended.
    ///
    /// ```no_run
    /// # let gpu = tcvit::Context::open(tcvit::ContextOptions::new())?;
    /// # let model = tcvit::Model::load(&gpu, "deit_small.safetensors")?;
    /// let session = model.session(tcvit::SessionOptions::new().batch(16))?;
    /// let files = std::fs::read_dir("photos").unwrap().map(|entry| entry.unwrap().path());
    /// for prediction in session.stream(files)? {
    ///     println!("{}", prediction?.top(1)[0].name());
    /// }
    /// # Ok::<(), tcvit::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] for a model without a head. The items' errors are those of [`Session::classify`].
    pub fn stream<I>(&self, images: I) -> Result<Predictions<I::IntoIter>>
    where
        I: IntoIterator<Item: IntoImage, IntoIter: Send + 'static>,
    {
        self.check_head()?;
        let workers = workers();
        let feeder = Arc::new(Feeder::new(images.into_iter(), DEPTH * self.0.batch + workers));
        for _ in 0..workers {
            let (feeder, preprocess, way) = (feeder.clone(), self.0.model.preprocess().clone(), self.0.preprocessing);
            std::thread::spawn(move || {
                feeder.work(|item| {
                    let image = item.into_image()?;
                    match way {
                        Preprocessing::Cpu => preprocess.pixels(&image).map(Prepared::Pixels),
                        // An image that cannot be prepared is refused here, so that it does not fail its whole batch.
                        Preprocessing::Gpu => {
                            preprocess.placement(image.width(), image.height())?;
                            Ok(Prepared::Image(image.into_owned()))
                        }
                    }
                });
            });
        }
        Ok(Predictions(Answers::new(self, feeder)))
    }

    /// Classifies any number of images, a batch at a time. An image is a path, encoded bytes or a decoded image
    /// ([`IntoImage`]). The first error ends the call, whereas [`Session::stream`] goes on.
    ///
    /// ```no_run
    /// # let gpu = tcvit::Context::open(tcvit::ContextOptions::new())?;
    /// let model = tcvit::Model::load(&gpu, "deit_small.safetensors")?;
    /// let session = model.session(tcvit::SessionOptions::new().condense(tcvit::Condensation::training_free()))?;
    /// for guess in session.classify(["cat.jpg"])?[0].top(5) {
    ///     println!("{} {:.1} %", guess.name(), guess.probability * 100.0);
    /// }
    /// # Ok::<(), tcvit::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] for a model without a head, [`Error::File`] and [`Error::Image`] for an image that cannot be
    /// opened or resized, [`Error::Device`] when the device fails, [`Error::NotFinite`] when a result is not a finite
    /// number.
    pub fn classify<I>(&self, images: I) -> Result<Vec<Prediction>>
    where
        I: IntoIterator<Item: IntoImage>,
    {
        self.check_head()?;
        let images: Vec<I::Item> = images.into_iter().collect();
        if self.0.preprocessing == Preprocessing::Gpu || images.len() <= self.0.batch {
            let trace = self.run_images(images, Outputs::logits())?;
            return Ok(self.predictions(&trace.logits));
        }
        let (preprocess, workers) = (self.0.model.preprocess(), workers());
        let feeder = Feeder::new(images.into_iter().enumerate(), DEPTH * self.0.batch + workers);
        let prepare = |(number, image): (usize, I::Item)| {
            let pixels = image.into_image().and_then(|image| preprocess.pixels(&image));
            pixels.map(Prepared::Pixels).map_err(|error| of_image(error, number))
        };
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| feeder.work(prepare));
            }
            Answers::new(self, &feeder).collect()
        })
    }

    /// Like [`Session::classify`], on a thread of its own, so the future never blocks the thread that polls it.
    ///
    /// # Errors
    /// As [`Session::classify`].
    pub async fn classify_async<I>(&self, images: I) -> Result<Vec<Prediction>>
    where
        I: IntoIterator<Item: IntoImage + 'static>,
    {
        let (session, images) = (self.clone(), images.into_iter().collect::<Vec<I::Item>>());
        in_background("classify", move || session.classify(images)).await
    }

    /// One vector of P numbers for each of any number of images. It is the input of the classifier, such as the class token
    /// after the final norm or the mean of the patch tokens. P is [`VitConfig::pooled`](crate::VitConfig::pooled).
    ///
    /// ```no_run
    /// # fn similar(session: tcvit::Session) -> tcvit::Result<()> {
    /// let vectors = session.embed(["cat.jpg", "dog.jpg"])?;
    /// let dot: f32 = vectors[0].iter().zip(&vectors[1]).map(|(a, b)| a * b).sum();
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Session::classify`], except that the model needs no head.
    pub fn embed<I>(&self, images: I) -> Result<Vec<Vec<f32>>>
    where
        I: IntoIterator<Item: IntoImage>,
    {
        let (mut images, mut vectors) = (images.into_iter(), Vec::new());
        loop {
            let batch: Vec<I::Item> = images.by_ref().take(self.0.batch).collect();
            if batch.is_empty() {
                return Ok(vectors);
            }
            let trace = self.run_images_from(vectors.len(), batch, Outputs::logits().pooled())?;
            vectors.extend(trace.pooled.chunks_exact(self.config().pooled().max(1)).map(<[f32]>::to_vec));
        }
    }

    /// Like [`Session::embed`], on a thread of its own, so the future never blocks the thread that polls it.
    ///
    /// # Errors
    /// As [`Session::embed`].
    pub async fn embed_async<I>(&self, images: I) -> Result<Vec<Vec<f32>>>
    where
        I: IntoIterator<Item: IntoImage + 'static>,
    {
        let (session, images) = (self.clone(), images.into_iter().collect::<Vec<I::Item>>());
        in_background("embed", move || session.embed(images)).await
    }

    /// The images in their order, opened on several threads.
    pub(super) fn open_images<'a, T>(&self, images: Vec<T>, first: usize) -> Result<Vec<Cow<'a, RgbImage>>>
    where
        T: IntoImage + 'a,
    {
        let window = images.len();
        let mut images = images.into_iter().zip(first..);
        let open = |(image, number): (T, usize)| image.into_image().map_err(|error| of_image(error, number));
        if window < 2 {
            return images.map(open).collect();
        }
        let feeder = Feeder::new(images.by_ref(), window);
        std::thread::scope(|scope| {
            for _ in 0..workers() {
                scope.spawn(|| feeder.work(open));
            }
            std::iter::from_fn(|| feeder.take()).collect()
        })
    }

    fn check_head(&self) -> Result<()> {
        match self.config().classes {
            0 => {
                let expected = "a model with a classification head";
                Err(Error::config("classify", expected, "a model without one; ask for features"))
            }
            _ => Ok(()),
        }
    }

    fn predictions(&self, logits: &[f32]) -> Vec<Prediction> {
        let config = self.config();
        logits.chunks_exact(config.classes.max(1)).map(|logits| Prediction::of_logits(logits, config)).collect()
    }
}

fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A submitted batch. For each image it holds the image's error, or `None` if its logits are computed.
struct Batch {
    images: Vec<Option<Error>>,
    pending: Option<Pending>,
}

/// Predictions of prepared images. `F` points to the feeder that prepares them.
struct Answers<I: Iterator, F: Deref<Target = Feeder<I, Prepared>>> {
    session: Session,
    feeder: F,
    batches: VecDeque<Batch>,
    answers: VecDeque<Result<Prediction>>,
    /// Whether all images are submitted.
    exhausted: bool,
}

impl<I: Iterator, F: Deref<Target = Feeder<I, Prepared>>> Answers<I, F> {
    fn new(session: &Session, feeder: F) -> Self {
        Self { session: session.clone(), feeder, batches: VecDeque::new(), answers: VecDeque::new(), exhausted: false }
    }

    /// Collects and submits the next batch.
    fn submit(&mut self) -> Result<()> {
        let mut batch = Batch { images: Vec::new(), pending: None };
        let (mut pixels, mut images) = (Vec::new(), Vec::new());
        while batch.images.len() < self.session.0.batch {
            match self.feeder.take() {
                None => {
                    self.exhausted = true;
                    break;
                }
                Some(Err(error)) => batch.images.push(Some(error)),
                Some(Ok(prepared)) => {
                    batch.images.push(None);
                    match prepared {
                        Prepared::Pixels(more) => pixels.extend(more),
                        Prepared::Image(image) => images.push(image),
                    }
                }
            }
        }
        if !pixels.is_empty() {
            batch.pending = Some(self.session.submit(&pixels, Outputs::logits())?);
        } else if !images.is_empty() {
            batch.pending = Some(self.session.submit_images(images, Outputs::logits())?);
        }
        if !batch.images.is_empty() {
            self.batches.push_back(batch);
        }
        Ok(())
    }

    /// Keeps [`DEPTH`] batches in flight and waits for the oldest one, until there is an answer.
    fn advance(&mut self) -> Result<()> {
        while self.answers.is_empty() {
            while !self.exhausted && self.batches.len() < DEPTH {
                self.submit()?;
            }
            let Some(Batch { images, pending }) = self.batches.pop_front() else { break };
            let logits = pending.map_or(Ok(Vec::new()), |pending| pending.wait().map(|trace| trace.logits))?;
            let mut predictions = self.session.predictions(&logits).into_iter();
            self.answers.extend(images.into_iter().filter_map(|error| match error {
                Some(error) => Some(Err(error)),
                None => predictions.next().map(Ok),
            }));
        }
        Ok(())
    }
}

impl<I: Iterator, F: Deref<Target = Feeder<I, Prepared>>> Iterator for Answers<I, F> {
    type Item = Result<Prediction>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.advance() {
            self.exhausted = true;
            self.batches.clear();
            self.feeder.stop();
            return Some(Err(error));
        }
        self.answers.pop_front()
    }
}

impl<I: Iterator, F: Deref<Target = Feeder<I, Prepared>>> Drop for Answers<I, F> {
    fn drop(&mut self) {
        self.feeder.stop();
    }
}

impl<I: Iterator> Iterator for Predictions<I> {
    type Item = Result<Prediction>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}
