//! With several batches in flight, answers are the same and in the same order, errors are in their place, and nothing
//! is left behind.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use image::RgbImage;
use tcvit::config::Head;
use tcvit::{
    Condensation, Context, ContextOptions, Error, IntoImage, Model, Outputs, Prediction, Result, SessionOptions,
};

use crate::device::promptly;
use crate::support::gpu;
use crate::support::small::{EVERYTHING, assert_same_bits, config, open, pixels, refused, slice, small};

/// Images of several sizes, all different.
fn images(count: u32) -> Vec<RgbImage> {
    let image = |n: u32| {
        RgbImage::from_fn(20 + n % 7, 20 + n % 5, |x, y| {
            image::Rgb([(x * 9 + n * 31) as u8, (y * 5) as u8, (x * y + n) as u8])
        })
    };
    (0..count).map(image).collect()
}

/// The answers when each image runs alone, in a session for one image.
fn one_by_one(images: &[RgbImage]) -> Vec<Prediction> {
    let session = open(small(), 1, None);
    images.iter().map(|image| session.classify(std::slice::from_ref(image)).unwrap().remove(0)).collect()
}

#[test]
fn a_stream_gives_what_single_images_give_in_their_order() {
    let images = images(23);
    let expected = one_by_one(&images);
    assert!(expected.windows(2).all(|pair| pair[0] != pair[1]), "images that are all the same show no order");
    for batch in [1, 2, 5, 23, 40] {
        let session = open(small(), batch, None);
        let got: Vec<_> = session.stream(images.clone()).unwrap().collect::<Result<_>>().unwrap();
        assert!(got == expected, "batch {batch}");
        assert!(session.classify(&images).unwrap() == expected, "batch {batch}, classify");
    }
    let session = open(small(), 4, None);
    assert_eq!(session.stream(Vec::<RgbImage>::new()).unwrap().count(), 0);
    assert!(session.classify([] as [RgbImage; 0]).unwrap().is_empty());
}

#[test]
fn a_broken_image_is_an_error_in_its_place() {
    let images = images(11);
    let expected = one_by_one(&images);
    let broken = |n: usize| [0, 4, 5, 6, 7, 10].contains(&n);
    let session = open(small(), 2, None);
    let source: Vec<Result<RgbImage>> = images
        .iter()
        .enumerate()
        .map(|(n, image)| match n {
            // An image that cannot be opened and one without pixels do not stop the others.
            0 | 6 => tcvit::low_level::input::open_image("no/such/file.jpg".as_ref()),
            n if broken(n) => Ok(RgbImage::new(0, 3)),
            _ => Ok(image.clone()),
        })
        .collect();
    let answers: Vec<_> = session.stream(source).unwrap().collect();
    assert_eq!(answers.len(), expected.len());
    for (n, (answer, expected)) in answers.iter().zip(&expected).enumerate() {
        match answer {
            Ok(answer) => assert!(!broken(n) && answer == expected, "image {n}"),
            Err(error) => {
                assert!(broken(n) && matches!(error, Error::File { .. } | Error::Image { .. }), "{n}: {error}")
            }
        }
    }
    // For a slice, the first broken image is the error, named by its number, before anything runs.
    let mut images = images;
    images[7] = RgbImage::new(0, 3);
    refused(session.classify(&images), "Image", &["image 7 of the batch", "0 x 3"]);
}

/// Paths are opened on the threads that prepare images.
#[test]
fn a_stream_takes_paths() {
    let paths =
        ["chelsea", "coffee"].map(|name| crate::support::repository(&format!("crates/cli/assets/photos/{name}.jpg")));
    let photos = paths.clone().map(|path| tcvit::low_level::input::open_image(&path).unwrap());
    let session = open(small(), 2, None);
    let got: Vec<_> = session.stream(paths).unwrap().collect::<Result<_>>().unwrap();
    assert!(got == one_by_one(&photos));
}

/// An image that counts how many of its kind are alive.
struct Counted(Arc<AtomicUsize>, RgbImage);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>, image: RgbImage) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self(alive.clone(), image)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl IntoImage for Counted {
    fn into_image<'a>(self) -> Result<Cow<'a, RgbImage>>
    where
        Self: 'a,
    {
        Ok(Cow::Owned(self.1.clone()))
    }
}

#[test]
fn a_stream_takes_little_ahead_and_a_dropped_one_lets_go() {
    promptly(|| {
        let (alive, begun) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let image = images(1).remove(0);
        let endless = {
            let (alive, begun) = (alive.clone(), begun.clone());
            std::iter::repeat_with(move || {
                begun.fetch_add(1, Ordering::SeqCst);
                Counted::new(&alive, image.clone())
            })
        };
        let session = open(small(), 3, None);
        let mut stream = session.stream(endless).unwrap();
        for taken in 1..=10 {
            stream.next().unwrap().unwrap();
            // Two batches are being computed, two are prepared, and each thread holds some images.
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            let ahead = begun.load(Ordering::SeqCst) - taken;
            assert!(ahead <= 4 * 3 + 2 * threads, "{ahead} images ahead");
        }
        drop(stream);
        // The threads end after the image that they are preparing.
        while alive.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        // The session still works.
        assert_eq!(session.classify(images(5)).unwrap(), one_by_one(&images(5)));
    });
}

/// The source sends an image only after the answer to an earlier one. In batches of two, this would wait for ever. In
/// batches of one it must not, since nothing that holds a lock waits for the caller's iterator.
#[test]
fn answers_do_not_wait_for_an_iterator_that_waits() {
    promptly(|| {
        let (send, receive) = std::sync::mpsc::channel::<RgbImage>();
        let receive = Mutex::new(receive);
        let session = open(small(), 1, None);
        let all = images(6);
        let mut stream = session.stream(std::iter::from_fn(move || receive.lock().unwrap().recv().ok())).unwrap();
        // Two batches are in flight, so the source must be two images ahead of the answers.
        all[..2].iter().for_each(|image| send.send(image.clone()).unwrap());
        for image in &all[2..] {
            stream.next().unwrap().unwrap();
            send.send(image.clone()).unwrap();
        }
        drop(send);
        assert_eq!(stream.count(), 2);
    });
}

#[test]
fn pending_batches_keep_their_own_results() {
    let (a, b, c) = (pixels(&config(), 3, 71), pixels(&config(), 3, 72), pixels(&config(), 7, 73));
    for condensation in [None, Some(Condensation::training_free())] {
        let session = open(small(), 3, condensation.as_ref());
        let expected = [&a, &b, &c].map(|pixels| session.run(pixels, EVERYTHING).unwrap());
        for wanted in [EVERYTHING, Outputs::logits()] {
            let pending = [&a, &b, &c].map(|pixels| session.submit(pixels, wanted).unwrap());
            // The results of a batch that is dropped without being awaited are discarded.
            drop(session.submit(&b, EVERYTHING).unwrap());
            let [first, second, third] = pending;
            // Wait in another order than that of submission.
            for (pending, expected) in [(second, &expected[1]), (third, &expected[2]), (first, &expected[0])] {
                let got = pending.wait().unwrap();
                assert_eq!(got.images, expected.images);
                match wanted == EVERYTHING {
                    true => assert_same_bits("in flight", &got, expected),
                    // Only the requested outputs are read back.
                    false => {
                        assert_eq!(got.logits, expected.logits);
                        assert!(got.features.is_empty() && got.blocks.is_empty());
                    }
                }
            }
        }
        assert_same_bits(
            "a part",
            &session.run(&c[..c.len() / 7 * 2], EVERYTHING).unwrap(),
            &slice(&expected[2], 0, 2),
        );
    }
}

/// A batch whose result is not finite is an error of that batch. The batches before and after it are not affected.
#[test]
fn a_result_that_is_no_number_is_the_error_of_its_batch() {
    let session = open(small(), 2, None);
    let good = pixels(&config(), 2, 74);
    // The pixels are finite, but the sums in the first layer are not.
    let bad: Vec<f32> = good.iter().map(|value| value.signum() * f32::MAX).collect();
    let expected = session.logits(&good).unwrap();
    let pending = [&good, &bad, &good].map(|pixels| session.submit(pixels, Outputs::logits()).unwrap());
    let [before, between, after] = pending;
    refused(between.wait(), "NotFinite", &["logits"]);
    assert_eq!(before.wait().unwrap().logits, expected);
    assert_eq!(after.wait().unwrap().logits, expected);
    let mut nan = good.clone();
    nan[5] = f32::NAN;
    refused(session.submit(&nan, Outputs::logits()).map(drop), "NotFinite", &["input pixels", "at 5"]);
    // Pixels are checked while they are uploaded, one run at a time. The error gives the place among all of them.
    let mut later = [good.clone(), good.clone(), good.clone()].concat();
    let at = 2 * good.len() + 7;
    later[at] = f32::INFINITY;
    let place = format!("at {at}");
    for _ in 0..3 {
        refused(session.submit(&later, Outputs::logits()).map(drop), "NotFinite", &["input pixels", &place]);
        assert_eq!(session.logits(&good).unwrap(), expected);
    }
}

#[test]
fn threads_share_a_session() {
    let session = open(small(), 2, None);
    let batches: Vec<_> = (0..4).map(|seed| pixels(&config(), 3, 80 + seed)).collect();
    let expected: Vec<_> = batches.iter().map(|pixels| session.logits(pixels).unwrap()).collect();
    std::thread::scope(|scope| {
        for (pixels, expected) in batches.iter().zip(&expected) {
            let session = &session;
            scope.spawn(move || (0..8).for_each(|_| assert_eq!(session.logits(pixels).unwrap(), *expected)));
        }
    });
}

#[test]
fn a_device_that_is_lost_in_the_middle_ends_a_stream_with_an_error() {
    promptly(|| {
        let context = Context::open(ContextOptions::new()).unwrap();
        let model = Model::random(&context, &config(), 3).unwrap();
        let session = open(&model, 2, None);
        let mut stream = session.stream(images(40)).unwrap();
        let pending = session.submit(&pixels(&config(), 2, 75), Outputs::logits()).unwrap();
        stream.next().unwrap().unwrap();
        context.device().destroy();
        // Answers that were already computed may still come, then one error, then nothing.
        let rest: Vec<_> = stream.by_ref().collect();
        let errors = rest.iter().filter(|answer| answer.is_err()).count();
        assert!(errors == 1 && rest.len() < 39, "{errors} errors among {}", rest.len());
        assert!(matches!(rest.last(), Some(Err(Error::Device { .. }))));
        assert!(stream.next().is_none());
        refused(pending.wait(), "Device", &["device"]);
        refused(session.classify(images(9)), "Device", &["device"]);
    });
    // Another device is not affected.
    open(&Model::random(gpu(), &config(), 3).unwrap(), 1, None).classify(images(1)).unwrap();
}

#[test]
fn a_model_without_a_head_does_not_classify() {
    let mut config = config();
    config.classes = 0;
    let session = Model::random(gpu(), &config, 3).unwrap().session(SessionOptions::new()).unwrap();
    refused(session.classify(images(1)), "Config", &["classification head"]);
    refused(session.stream(images(1)).map(drop), "Config", &["classification head"]);
    // It has features.
    let trace = session.run_images(images(2), Outputs::logits().features()).unwrap();
    assert_eq!((trace.images, trace.logits.len()), (2, 0));
}

#[test]
fn a_model_without_prefix_tokens_runs_full_and_condensed() {
    let mut config = config();
    (config.class_token, config.head, config.pre_norm) = (false, Head::MeanPooled, false);
    let model = Model::random(gpu(), &config, 3).unwrap();
    for condensation in [None, Some(Condensation::tome().drop_per_block(2))] {
        let session = open(&model, 3, condensation.as_ref());
        let images = pixels(&config, 3, 95);
        let trace = session.run(&images, EVERYTHING).unwrap();
        assert_eq!(trace.tokens, session.plan().last_tokens());
        // Features of a mean-pooled head come before its norm; what it pools has their mean, normalised.
        let each = trace.tokens * trace.width;
        for (tokens, pooled) in trace.features.chunks_exact(each).zip(trace.pooled.chunks_exact(trace.width)) {
            let mean: Vec<f64> = (0..trace.width)
                .map(|d| {
                    tokens.iter().skip(d).step_by(trace.width).map(|&x| f64::from(x)).sum::<f64>() / trace.tokens as f64
                })
                .collect();
            let centre = mean.iter().sum::<f64>() / mean.len() as f64;
            let spread = (mean.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / mean.len() as f64).sqrt();
            // The norm's weights are near 1 and its bias near 0: the order of the elements is that of the mean.
            let correlation: f64 =
                mean.iter().zip(pooled).map(|(x, &y)| (x - centre) / spread * f64::from(y)).sum::<f64>()
                    / mean.len() as f64;
            assert!(correlation > 0.5, "{correlation}");
        }
        for image in 0..3 {
            let each = config.pixels();
            let single = session.run(&images[image * each..(image + 1) * each], EVERYTHING).unwrap();
            assert_same_bits("single", &single, &slice(&trace, image, image + 1));
        }
    }
}

#[test]
fn an_error_is_handed_over_once_and_no_partial_results_follow() {
    let each = config().pixels();
    let session = open(small(), 1, None);
    let images = {
        let mut images = pixels(&config(), 4, 96);
        images[each..2 * each].fill(3e38);
        images
    };
    let over = ["wait for results", "over"];
    let mut pending = session.submit(&images, Outputs::logits()).unwrap();
    let first = loop {
        match pending.wait_timeout(std::time::Duration::from_millis(5)) {
            Ok(None) => {}
            other => break other,
        }
    };
    refused(first.map(drop), "NotFinite", &["logits"]);
    refused(pending.wait_timeout(std::time::Duration::ZERO).map(drop), "Config", &over);
    refused(pending.is_ready().map(drop), "Config", &over);
    refused(pending.wait().map(drop), "Config", &over);
    let mut pending = session.submit(&images[..each], Outputs::logits()).unwrap();
    assert!(pending.wait_timeout(std::time::Duration::from_secs(50)).unwrap().is_some());
    refused(pending.wait().map(drop), "Config", &over);
}

#[test]
fn an_image_that_is_wrong_is_named_by_its_number_among_all() {
    let session = open(small(), 2, None);
    let good: &[u8] = include_bytes!("../../crates/cli/assets/photos/chelsea.jpg");
    for wrong in [0, 3, 4] {
        let images: Vec<&[u8]> = (0..5).map(|number| if number == wrong { b"nothing" } else { good }).collect();
        let named = format!("{wrong} of the batch");
        refused(session.classify(images.clone()).map(drop), "Image", &[&named, "JPEG"]);
        refused(session.embed(images.clone()).map(drop), "Image", &[&named]);
        refused(session.run_images(images, Outputs::logits()).map(drop), "Image", &[&named]);
    }
}
