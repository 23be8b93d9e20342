//! A device that is lost during use gives an error that says so, not a panic and not an endless wait.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use tcvit::{Condensation, Context, ContextOptions, Model, SessionOptions};

use crate::splitting::own_device;
use crate::support::gpu;
use crate::support::small::{EVERYTHING, config, open, pixels, refused};

/// Runs `work` on a thread of its own, and fails if it takes more than a minute or panics.
pub fn promptly(work: impl FnOnce() + Send + 'static) {
    let (done, wait) = channel();
    let worker = std::thread::spawn(move || {
        work();
        // Sending fails if the receiver has given up.
        let _ = done.send(());
    });
    match wait.recv_timeout(Duration::from_secs(60)) {
        Ok(()) | Err(RecvTimeoutError::Disconnected) => worker.join().unwrap(),
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
    }
}

/// Every request to a destroyed device is an error.
fn check_destroyed(context: &Context) {
    let images = pixels(&config(), 1, 61);
    let model = Model::random(context, &config(), 3).unwrap();
    let session = open(&model, 1, Some(&Condensation::paper()));
    session.logits(&images).unwrap();
    context.device().destroy();
    refused(session.logits(&images), "Device", &["device"]);
    refused(session.run(&images, EVERYTHING), "Device", &["device"]);
    refused(session.read_back(1, EVERYTHING), "Device", &["read back", "device"]);
    refused(model.session(SessionOptions::new().batch(2)), "Device", &["device"]);
    refused(Model::random(context, &config(), 4), "Device", &["device"]);
}

#[test]
fn a_destroyed_device_is_an_error() {
    promptly(|| {
        let context = Context::open(ContextOptions::new()).unwrap();
        check_destroyed(&context);
        // Another device is not affected.
        let model = Model::random(gpu(), &config(), 3).unwrap();
        open(&model, 1, None).logits(&pixels(&config(), 1, 62)).unwrap();
    });
}

#[test]
fn a_destroyed_device_of_the_application_is_an_error() {
    promptly(|| {
        let (device, queue) = own_device();
        check_destroyed(&Context::from_device(device, queue).unwrap());
    });
}

#[test]
fn a_lost_device_says_so_and_what_to_do() {
    promptly(|| {
        let context = Context::open(ContextOptions::new()).unwrap();
        let model = Model::random(&context, &config(), 3).unwrap();
        let session = open(&model, 1, None);
        context.device().destroy();
        refused(session.logits(&pixels(&config(), 1, 63)), "Device", &["lost", "open a new Context"]);
    });
}
