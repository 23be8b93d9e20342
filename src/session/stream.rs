//! Any number of photographs in, predictions out, in order: they are decoded and prepared on every core while the GPU
//! works, and a batch is on its way while another is computed.

use std::collections::VecDeque;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use image::RgbImage;

use super::feeder::Feeder;
use super::pending::DEPTH;
use super::{Input, Pending, Preprocessing, Session, Wanted};
use crate::error::{Error, Result};
use crate::input::open_image;
use crate::prediction::Prediction;

/// What [`Session::stream`] takes images from. It becomes an image on one of the threads that prepare them.
pub trait IntoImage: Send {
    /// The image.
    ///
    /// # Errors
    /// Whatever keeps it from being one.
    fn into_image(self) -> Result<RgbImage>;
}

impl IntoImage for RgbImage {
    fn into_image(self) -> Result<RgbImage> {
        Ok(self)
    }
}

impl<T: IntoImage> IntoImage for Result<T> {
    fn into_image(self) -> Result<RgbImage> {
        self?.into_image()
    }
}

/// A file, as [`open_image`].
impl IntoImage for PathBuf {
    fn into_image(self) -> Result<RgbImage> {
        open_image(&self)
    }
}

/// An image that is ready to go.
enum Prepared {
    Pixels(Vec<f32>),
    Image(RgbImage),
}

/// The iterator that [`Session::stream`] returns. Dropped, it leaves what is not yet computed.
pub struct Predictions<'s, I: Iterator>(Answers<'s, I, Arc<Feeder<I, Prepared>>>);

impl Session {
    /// Classifies images as they come: an iterator of images, of results of images, or of paths, gives an iterator of
    /// predictions in the same order. An image that cannot be read or prepared is an error in its place, and the others go
    /// on; after any other error the iterator ends. Threads take from `images` a little ahead, about two batches; a batch
    /// is computed once it is full or `images` have ended.
    ///
    /// ```no_run
    /// # let gpu = tcvit::Context::blocking()?;
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
    /// [`Error::Config`] for a model without a head. Items are errors as [`Session::classify`]'s.
    pub fn stream<I>(&self, images: I) -> Result<Predictions<'_, I::IntoIter>>
    where
        I: IntoIterator<Item: IntoImage, IntoIter: Send + 'static>,
    {
        self.check_head()?;
        let workers = workers();
        let feeder = Arc::new(Feeder::new(images.into_iter(), DEPTH * self.batch + workers));
        for _ in 0..workers {
            let (feeder, preprocess, way) = (feeder.clone(), self.model.preprocess().clone(), self.preprocessing);
            std::thread::spawn(move || {
                feeder.work(|item| {
                    let image = item.into_image()?;
                    match way {
                        Preprocessing::Cpu => preprocess.pixels(&image).map(Prepared::Pixels),
                        // What cannot be prepared must not fail the batch that it would be in.
                        Preprocessing::Gpu => {
                            preprocess.placement(image.width(), image.height()).map(|_| Prepared::Image(image))
                        }
                    }
                });
            });
        }
        Ok(Predictions(Answers::new(self, feeder)))
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
        self.check_head()?;
        if self.preprocessing == Preprocessing::Gpu || images.len() <= self.batch {
            let trace = self.run_images(images, Wanted::default())?;
            return Ok(self.predictions(&trace.logits));
        }
        let (preprocess, workers) = (self.model.preprocess(), workers());
        preprocess.check_batch(images)?;
        let feeder = Feeder::new(images.iter(), DEPTH * self.batch + workers);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| feeder.work(|image| preprocess.pixels(image).map(Prepared::Pixels)));
            }
            Answers::new(self, &feeder).collect()
        })
    }

    fn check_head(&self) -> Result<()> {
        match self.config().classes {
            0 => {
                let expected = "a model with a classification head";
                Err(Error::config("classify", expected, "one without; ask for features"))
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

/// A batch on its way: for each of its images an error, or none where its logits are computed.
struct Batch<'s> {
    images: Vec<Option<Error>>,
    pending: Option<Pending<'s>>,
}

/// Predictions from prepared images. `F` leads to the feeder that prepares them.
struct Answers<'s, I: Iterator, F: Deref<Target = Feeder<I, Prepared>>> {
    session: &'s Session,
    feeder: F,
    batches: VecDeque<Batch<'s>>,
    answers: VecDeque<Result<Prediction>>,
    /// Nothing more to submit.
    exhausted: bool,
}

impl<'s, I: Iterator, F: Deref<Target = Feeder<I, Prepared>>> Answers<'s, I, F> {
    fn new(session: &'s Session, feeder: F) -> Self {
        Self { session, feeder, batches: VecDeque::new(), answers: VecDeque::new(), exhausted: false }
    }

    /// Gathers and submits the next batch.
    fn submit(&mut self) -> Result<()> {
        let mut batch = Batch { images: Vec::new(), pending: None };
        let (mut pixels, mut images) = (Vec::new(), Vec::new());
        while batch.images.len() < self.session.batch {
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
            batch.pending =
                Some(self.session.submit_all(Input::Pixels { pixels: &pixels, before: 0 }, Wanted::default())?);
        } else if !images.is_empty() {
            batch.pending = Some(self.session.submit_all(Input::Photographs(&images), Wanted::default())?);
        }
        if !batch.images.is_empty() {
            self.batches.push_back(batch);
        }
        Ok(())
    }

    /// Keeps batches in flight and turns the oldest into answers, until there is one.
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

impl<I: Iterator, F: Deref<Target = Feeder<I, Prepared>>> Iterator for Answers<'_, I, F> {
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

impl<I: Iterator, F: Deref<Target = Feeder<I, Prepared>>> Drop for Answers<'_, I, F> {
    fn drop(&mut self) {
        self.feeder.stop();
    }
}

impl<I: Iterator> Iterator for Predictions<'_, I> {
    type Item = Result<Prediction>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}
