//! Photographs prepared on the GPU give the same pixels, and therefore the same answers, to the bit.

use image::RgbImage;
use tcvit::low_level::input::Filter;
use tcvit::low_level::random::Random;
use tcvit::{Condensation, Model, Outputs, Precision, Preprocessing, Session, SessionOptions};

use crate::support::small::{EVERYTHING, assert_same_bits, bundled, refused};
use crate::support::{gpu, repository, stored_in};

fn photos() -> Vec<RgbImage> {
    let open = |name| {
        tcvit::low_level::input::open_image(&repository(&format!("crates/cli/assets/photos/{name}.jpg"))).unwrap()
    };
    let mut photos = ["chelsea", "coffee", "rocket"].map(open).to_vec();
    for (width, height) in [(1, 1), (3, 5), (9, 700), (700, 9), (32, 32), (1500, 1100)] {
        let mut random = Random::named("photo", u64::from(width));
        photos.push(RgbImage::from_fn(width, height, |_, _| image::Rgb(std::array::from_fn(|_| random.bits() as u8))));
    }
    photos
}

fn session(model: &Model, batch: usize, preprocessing: Preprocessing) -> Session {
    let options = SessionOptions::new().batch(batch).condense(Condensation::training_free()).preprocess(preprocessing);
    model.session(options).unwrap()
}

#[test]
fn both_ways_give_the_same_bits() {
    let photos = photos();
    let pixels = bundled().preprocess().pixels_batch(&photos).unwrap();
    for batch in [1, 4, 16] {
        let (cpu, on_gpu) =
            (session(bundled(), batch, Preprocessing::Cpu), session(bundled(), batch, Preprocessing::Gpu));
        assert_eq!((cpu.preprocessing(), on_gpu.preprocessing()), (Preprocessing::Cpu, Preprocessing::Gpu));
        let expected = cpu.run(&pixels, EVERYTHING).unwrap();
        assert_same_bits("cpu", &cpu.run_images(&photos, EVERYTHING).unwrap(), &expected);
        assert_same_bits("gpu", &on_gpu.run_images(&photos, EVERYTHING).unwrap(), &expected);
        // Smaller photographs follow larger ones, then larger ones again.
        for _ in 0..2 {
            let few = on_gpu.run_images(&photos[3..5], Outputs::logits()).unwrap();
            assert_eq!(few.logits, expected.logits[3 * 10..5 * 10]);
            assert_same_bits("again", &on_gpu.run_images(&photos, EVERYTHING).unwrap(), &expected);
        }
        let answers = cpu.classify(&photos).unwrap();
        assert_eq!(on_gpu.classify(&photos).unwrap(), answers);
        let stream: Vec<_> = on_gpu.stream(photos.clone()).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(stream, answers);
    }
}

/// Five photographs of 21 MB are more than are uploaded at once, and each is more than a small device can bind.
#[test]
fn a_batch_of_large_photographs_goes_up_in_parts() {
    let large = |n: u32, width, height| {
        RgbImage::from_fn(width, height, |x, y| image::Rgb([(x / 9 + n * 40) as u8, (y / 7) as u8, n as u8]))
    };
    let mut photos: Vec<_> = (0..5).map(|n| large(n, 2700, 2600)).collect();
    photos.insert(2, image::imageops::crop_imm(&photos[0], 5, 7, 33, 21).to_image());
    let (cpu, on_gpu) = (session(bundled(), 7, Preprocessing::Cpu), session(bundled(), 7, Preprocessing::Gpu));
    let expected = cpu.run_images(&photos, EVERYTHING).unwrap();
    assert_same_bits("large", &on_gpu.run_images(&photos, EVERYTHING).unwrap(), &expected);
    let small_device = Model::load_with(
        &crate::splitting::limited(1 << 20),
        repository("assets/models/vit_cifar10_32"),
        &stored_in(Precision::F32),
    )
    .unwrap();
    let on_small = session(&small_device, 7, Preprocessing::Gpu);
    assert_same_bits("small device", &on_small.run_images(&photos, EVERYTHING).unwrap(), &expected);
}

#[test]
fn what_cannot_be_prepared_is_named_before_anything_runs() {
    let on_gpu = session(bundled(), 2, Preprocessing::Gpu);
    let mut photos = photos();
    photos[5] = RgbImage::new(7, 0);
    refused(on_gpu.run_images(&photos, EVERYTHING), "Image", &["image 5 of the batch", "7 x 0"]);
    assert!(matches!(on_gpu.stream(photos).unwrap().nth(5), Some(Err(tcvit::Error::Image { .. }))));
}

/// Filters that input from a texture does not support.
#[test]
fn every_filter_works() {
    for filter in [Filter::Nearest, Filter::Box, Filter::Lanczos, Filter::Hamming] {
        let mut config = bundled().config().clone();
        config.interpolation = filter.to_string();
        config.squash = true;
        let model = Model::random_with(gpu(), &config, 5, &stored_in(Precision::F32)).unwrap();
        let [cpu, on_gpu] = [Preprocessing::Cpu, Preprocessing::Gpu].map(|way| session(&model, 9, way));
        let photos = photos();
        let expected = cpu.run_images(&photos, EVERYTHING).unwrap();
        assert_same_bits(&filter.to_string(), &on_gpu.run_images(&photos, EVERYTHING).unwrap(), &expected);
    }
}
