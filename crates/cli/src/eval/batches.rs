//! Decodes and preprocesses images on all cores while the GPU works on earlier ones.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use image::RgbImage;
use tcvit::low_level::input::{Preprocess, open_image};
use tcvit::{Outputs, Pending, Preprocessing, Result, Session};

use super::folder::Item;

/// A batch of images, in order.
pub struct Batch<'a> {
    /// The images that could be read.
    pub items: Vec<&'a Item>,
    /// The models' input for these images.
    pub input: Input,
    /// The images that could not be read, with the reason.
    pub broken: Vec<(&'a Item, String)>,
}

/// The images of a batch: normalised pixels, or photographs to be prepared on the GPU.
#[derive(Clone)]
pub enum Input {
    Pixels(Vec<f32>),
    Images(Vec<RgbImage>),
}

impl Input {
    fn new(way: Preprocessing) -> Self {
        match way {
            Preprocessing::Gpu => Self::Images(Vec::new()),
            _ => Self::Pixels(Vec::new()),
        }
    }

    fn push(&mut self, image: RgbImage, preprocess: &Preprocess) -> Result<()> {
        match self {
            Self::Pixels(pixels) => pixels.extend(preprocess.pixels(&image)?),
            Self::Images(images) => {
                // An image that cannot be prepared is refused here, so that it does not fail its whole batch.
                preprocess.placement(image.width(), image.height())?;
                images.push(image);
            }
        }
        Ok(())
    }

    /// Submits the images to `session`.
    pub fn submit(&self, session: &Session) -> Result<Pending> {
        match self {
            Self::Pixels(pixels) => session.submit(pixels, Outputs::logits()),
            Self::Images(images) => session.submit_images(images, Outputs::logits()),
        }
    }
}

/// Calls `consume` with `size` of `items` at a time, in order. The first error of `consume` ends the evaluation.
pub fn for_each_batch<'a>(
    items: &[&'a Item],
    size: usize,
    (preprocess, way): (&Preprocess, Preprocessing),
    mut consume: impl FnMut(Batch<'a>) -> Result<()>,
) -> Result<()> {
    let chunks: Vec<&[&'a Item]> = items.chunks(size.max(1)).collect();
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(chunks.len());
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(workers + 1);
        for _ in 0..workers {
            let (sender, next, chunks) = (sender.clone(), &next, &chunks);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(chunk) = chunks.get(index) else { break };
                    // The receiver is gone if `consume` has failed.
                    if sender.send((index, decode(chunk, preprocess, way))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut wanted = 0;
        for (index, batch) in receiver {
            early.insert(index, batch);
            while let Some(batch) = early.remove(&wanted) {
                consume(batch)?;
                wanted += 1;
            }
        }
        Ok(())
    })
}

fn decode<'a>(items: &[&'a Item], preprocess: &Preprocess, way: Preprocessing) -> Batch<'a> {
    let mut batch = Batch { items: Vec::new(), input: Input::new(way), broken: Vec::new() };
    for &item in items {
        match open_image(&item.path).and_then(|image| batch.input.push(image, preprocess)) {
            Ok(()) => batch.items.push(item),
            Err(error) => batch.broken.push((item, error.to_string())),
        }
    }
    batch
}
