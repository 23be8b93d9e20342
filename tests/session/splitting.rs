//! Batches that do not fit the device, and devices and encoders that belong to the application.

use std::sync::OnceLock;

use tcvit::config::{Head, Stem};
use tcvit::{Attention, Condensation, Context, ContextOptions, Model, Outputs, Precision, SessionOptions, VitConfig};

use crate::support::small::{
    EVERYTHING, assert_same_bits, assert_same_decisions, config, open, pixels, refused, small,
};
use crate::support::{gpu, stored_in};

/// The default adapter with bindings of at most `bytes`.
pub fn limited(bytes: u64) -> Context {
    limited_to(bytes, gpu().limits().max_texture_dimension_2d)
}

fn limited_to(bytes: u64, texels: u32) -> Context {
    let mut limits = gpu().limits().clone();
    limits.max_storage_buffer_binding_size = bytes;
    limits.max_texture_dimension_2d = texels;
    Context::open(ContextOptions::new().limits(limits)).unwrap()
}

/// [`config`] on a device that takes three images at once: the hidden layer of an image has 17 x 256 elements. The
/// largest weight, 64 x 256, fits.
fn narrow() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| {
        Model::random_with(&limited(4 * 17 * 256 * 4 - 4), &config(), 3, &stored_in(Precision::F32)).unwrap()
    })
}

#[test]
fn a_batch_that_does_not_fit_is_split_without_a_trace() {
    let images = pixels(&config(), 7, 31);
    for condensation in [None, Some(Condensation::paper()), Some(Condensation::training_free())] {
        let (whole, split) = (open(small(), 7, condensation.as_ref()), open(narrow(), 7, condensation.as_ref()));
        assert_eq!((whole.run_size(), split.run_size(), split.batch()), (7, 3, 7));
        let expected = whole.run(&images, EVERYTHING).unwrap();
        assert_same_bits("split", &split.run(&images, EVERYTHING).unwrap(), &expected);
    }
}

#[test]
fn runs_are_even() {
    // Four images in two runs are split into two and two, not three and one.
    assert_eq!(open(narrow(), 4, None).run_size(), 2);
    assert_eq!(open(narrow(), 3, None).run_size(), 3);
}

#[test]
fn an_image_that_does_not_fit_names_its_buffer() {
    // 257 tokens have 2 heads of 257 x 260 probabilities, 534,560 bytes. Every weight is smaller than 50,000 bytes.
    let config = VitConfig::new(64, 4, 16, 1, 2, 10);
    let model = Model::random_with(&limited(100_000), &config, 1, &stored_in(Precision::F32)).unwrap();
    let texts = ["attention probabilities", "534560", "100000"];
    let stored = || SessionOptions::new().attention(Attention::Stored);
    refused(model.session(stored()), "Limit", &texts);
    refused(model.session(stored().condense(Condensation::paper())), "Limit", &texts);
    // Probabilities that are not stored need not fit.
    model.session(SessionOptions::new().attention(Attention::Fused)).unwrap();
}

#[test]
fn a_weight_that_does_not_fit_is_named() {
    // It fits neither a buffer nor a texture, which is where a software adapter keeps weights.
    refused(
        Model::random_with(&limited_to(60_000, 8), &config(), 1, &stored_in(Precision::F32)),
        "Limit",
        &["blocks.0.mlp.fc1", "65536", "60000"],
    );
}

#[test]
fn impossible_limits_are_refused() {
    let mut limits = gpu().limits().clone();
    limits.max_compute_workgroup_size_x = u32::MAX;
    refused(Context::open(ContextOptions::new().limits(limits)), "Device", &["open adapter"]);
}

#[test]
fn a_batch_that_is_split_cannot_be_recorded_into_an_encoder() {
    let session = open(narrow(), 7, None);
    let mut encoder = narrow().context().device().create_command_encoder(&Default::default());
    refused(session.record_into(&mut encoder), "Limit", &["record into encoder", "at most 3", "7"]);
    // The application can still use its encoder.
    narrow().context().queue().submit([encoder.finish()]);
}

#[test]
fn an_encoder_of_ones_own_gives_the_same() {
    let images = pixels(&config(), 2, 33);
    let session = open(small(), 2, Some(&Condensation::training_free()));
    let expected = session.run(&images, EVERYTHING).unwrap();
    // Leaves other results in the buffers, which the recorded forward must replace.
    session.logits(&pixels(&config(), 2, 34)).unwrap();
    let (device, queue) = (gpu().device(), gpu().queue());
    queue.write_buffer(session.input(), 0, bytemuck::cast_slice(&images));
    let mut encoder = device.create_command_encoder(&Default::default());
    session.record_into(&mut encoder).unwrap();
    queue.submit([encoder.finish()]);
    assert_same_bits("own encoder", &session.read_back(2, EVERYTHING).unwrap(), &expected);
    let one = session.read_back(1, Outputs::logits()).unwrap();
    assert_eq!(one.logits, expected.logits[..10]);
    refused(session.read_back(3, EVERYTHING), "Shape", &["read back", "at most 2", "3"]);
}

/// The application's device has wgpu's default limits and no optional feature, so that other ways run.
#[test]
fn a_device_of_ones_own_gives_the_same() {
    let (device, queue) = own_device();
    let context = Context::from_device(device.clone(), queue).unwrap();
    assert_eq!(context.device(), &device);
    let model = Model::random_with(&context, &config(), 3, &stored_in(Precision::F32)).unwrap();
    let images = pixels(&config(), 2, 35);
    for condensation in [None, Some(Condensation::paper())] {
        let expected = open(small(), 2, condensation.as_ref()).run(&images, EVERYTHING).unwrap();
        let got = open(&model, 2, condensation.as_ref()).run(&images, EVERYTHING).unwrap();
        assert_same_decisions("own device", &got, &expected);
    }
    refused(open(&model, 1, None).profile(), "Device", &["TIMESTAMP_QUERY"]);
}

/// A device opened as an application would, not through this crate.
pub fn own_device() -> (wgpu::Device, wgpu::Queue) {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    // As in the library, for the sake of tests that run at the same time.
    descriptor.flags.remove(wgpu::InstanceFlags::DEBUG);
    let instance = wgpu::Instance::new(descriptor.with_env());
    pollster::block_on(async {
        let adapter = instance.request_adapter(&Default::default()).await.unwrap();
        adapter.request_device(&wgpu::DeviceDescriptor::default()).await.unwrap()
    })
}

/// LV-ViT's stem and the logits of its tokens are larger than any buffer of other models.
#[test]
fn a_stem_and_logits_of_tokens_are_split_without_a_trace() {
    for (classes, name, each) in [(10, "convolutional stem", 16 * 32 * 32), (1000, "logits of tokens", 65 * 1000)] {
        let mut config = VitConfig::new(64, 8, 64, 2, 1, classes);
        (config.stem, config.head, config.mlp) = (Stem::Convolutional { channels: 16 }, Head::ClassAndTokenMax, 64);
        let images = pixels(&config, 5, 41);
        let split = Model::random_with(&limited(4 * each * 3), &config, 3, &stored_in(Precision::F32)).unwrap();
        let whole = Model::random_with(gpu(), &config, 3, &stored_in(Precision::F32)).unwrap();
        for condensation in [None, Some(Condensation::paper().drop_per_block(1))] {
            let (whole, split) = (open(&whole, 5, condensation.as_ref()), open(&split, 5, condensation.as_ref()));
            if condensation.is_none() {
                assert_eq!(split.plan().elements().largest(), (name, each as usize));
                assert_eq!((whole.run_size(), split.run_size()), (5, 3));
            }
            let expected = whole.run(&images, EVERYTHING).unwrap();
            assert_same_bits(name, &split.run(&images, EVERYTHING).unwrap(), &expected);
        }
    }
}
