//! Waiting for results by blocking, by asking, with a timeout, and as a future on an executor of one thread.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tcvit::{Condensation, Context, ContextOptions, Error, Keep, LoadOptions, Model, Outputs, SessionOptions};

use crate::device::promptly;
use crate::splitting::limited;
use crate::support::small::{EVERYTHING, assert_same_bits, config, open, pixels, refused, small};
use crate::support::{gpu, stored_in};

/// Runs `work` on an executor of one thread, and returns how often another task ran meanwhile.
fn beside<T>(work: impl Future<Output = T>) -> (T, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let ticks = Rc::new(Cell::new(0));
    let ticked = ticks.clone();
    let result = local.block_on(&runtime, async {
        let ticker = tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                ticked.set(ticked.get() + 1);
            }
        });
        let result = work.await;
        ticker.abort();
        result
    });
    (result, ticks.get())
}

#[test]
fn a_future_gives_the_bits_that_blocking_gives_and_leaves_the_executor_free() {
    promptly(|| {
        for condensation in [None, Some(Condensation::paper()), Some(Condensation::training_free())] {
            let session = open(small(), 16, condensation.as_ref());
            let images = pixels(&config(), 16, 91);
            let expected = session.run(&images, EVERYTHING).unwrap();
            let (trace, ticks) = beside(session.submit(&images, EVERYTHING).unwrap());
            assert_same_bits("future", &trace.unwrap(), &expected);
            assert!(ticks > 0, "nothing else ran");
            // Two at once, the later one awaited first.
            let both = async {
                let [first, second] = [0, 1].map(|_| session.submit(&images, EVERYTHING).unwrap());
                let second = second.await.unwrap();
                (first.await.unwrap(), second)
            };
            let ((first, second), _) = beside(both);
            assert_same_bits("first", &first, &expected);
            assert_same_bits("second", &second, &expected);
        }
    });
}

#[test]
fn more_images_than_are_in_flight_at_once_are_submitted_while_they_are_awaited() {
    promptly(|| {
        let config = config();
        let each = 4 * 17 * 256 * 4;
        let model = Model::random_with(&limited(each * 3), &config, 3, &stored_in(tcvit::Precision::F32)).unwrap();
        let session = open(&model, 3, None);
        assert!(session.run_size() <= 3);
        let images = pixels(&config, 20, 92);
        let expected = session.run(&images, EVERYTHING).unwrap();
        assert_eq!(expected.images, 20);
        let (trace, _) = beside(session.submit(&images, EVERYTHING).unwrap());
        assert_same_bits("future", &trace.unwrap(), &expected);
        assert_same_bits("blocking", &session.submit(&images, EVERYTHING).unwrap().wait().unwrap(), &expected);
        let mut pending = session.submit(&images, EVERYTHING).unwrap();
        while !pending.is_ready().unwrap() {
            std::thread::yield_now();
        }
        assert_same_bits("asked", &pending.wait().unwrap(), &expected);
        let mut pending = session.submit(&images, EVERYTHING).unwrap();
        let trace = loop {
            if let Some(trace) = pending.wait_timeout(Duration::from_micros(200)).unwrap() {
                break trace;
            }
        };
        assert_same_bits("timeout", &trace, &expected);
    });
}

#[test]
fn a_timeout_of_nothing_returns_at_once_and_a_dropped_result_does_no_harm() {
    promptly(|| {
        let session = open(small(), 64, None);
        let images = pixels(&config(), 64, 93);
        let expected = session.run(&images, Outputs::logits()).unwrap();
        let mut pending = session.submit(&images, Outputs::logits()).unwrap();
        // It may be done already, but not twice.
        let early = pending.wait_timeout(Duration::ZERO).unwrap();
        if early.is_none() {
            assert_eq!(pending.wait_timeout(Duration::from_secs(50)).unwrap().unwrap().logits, expected.logits);
        }
        for _ in 0..5 {
            drop(session.submit(&images, Outputs::logits()).unwrap());
        }
        let cancelled = async {
            let pending = session.submit(&images, Outputs::logits()).unwrap();
            tokio::time::timeout(Duration::from_micros(1), pending).await.is_err()
        };
        beside(cancelled);
        assert_eq!(session.run(&images, Outputs::logits()).unwrap().logits, expected.logits);
    });
}

#[test]
fn opening_loading_and_classifying_leave_the_executor_free() {
    promptly(|| {
        let images: Vec<_> =
            (0..3).map(|i| image::RgbImage::from_pixel(40, 30, image::Rgb([i * 80, 9, 200]))).collect();
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/models/vit_cifar10_32");
        let expected = Model::load(gpu(), &path).unwrap().session(SessionOptions::new().batch(2)).unwrap();
        let (answers, ticks) = beside(async {
            let gpu = Context::open_async(ContextOptions::new().keep(Keep::Nothing)).await?;
            let model = Model::load_async(&gpu, &path, &LoadOptions::new()).await?;
            let session = model.session_async(SessionOptions::new().batch(2)).await?;
            Ok::<_, Error>((session.classify_async(images.clone()).await?, session.embed_async(images.clone()).await?))
        });
        let (predictions, vectors) = answers.unwrap();
        for (got, expected) in predictions.iter().zip(expected.classify(&images).unwrap()) {
            assert_eq!(got.top(10), expected.top(10));
        }
        assert_eq!(vectors, expected.embed(&images).unwrap());
        assert!(ticks > 20, "only {ticks} turns of another task");
        let (missing, _) = beside(Model::load_async(gpu(), "/nowhere", &LoadOptions::new()));
        refused(missing.map(drop), "File", &["/nowhere"]);
    });
}

#[test]
fn a_future_on_a_lost_device_ends_with_an_error() {
    promptly(|| {
        let context = Context::open(ContextOptions::new()).unwrap();
        let session = open(&Model::random(&context, &config(), 3).unwrap(), 2, None);
        session.run(&pixels(&config(), 2, 94), Outputs::logits()).unwrap();
        context.device().destroy();
        let (refusal, _) = beside(async { session.submit(&pixels(&config(), 2, 94), Outputs::logits())?.await });
        refused(refusal.map(drop), "Device", &["device"]);
    });
}
