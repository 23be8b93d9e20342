//! The same image gives the same bits in another session, run, slot, batch size or thread.

use tcvit::{Condensation, Outputs};

use crate::support::relative;
use crate::support::small::{
    EVERYTHING, assert_same_bits, bundled, condensations, config, open, photographs, pixels, slice, small,
};

#[test]
fn sessions_and_runs_repeat_to_the_bit() {
    let pixels = pixels(&config(), 3, 1);
    for (name, condensation) in condensations() {
        let (first, second) = (open(small(), 3, Some(&condensation)), open(small(), 3, Some(&condensation)));
        let trace = first.run(&pixels, EVERYTHING).unwrap();
        assert_eq!(trace.blocks.len(), 3);
        // Run other images in between, so that a result left in the buffers would be detected.
        first.logits(&crate::support::small::pixels(&config(), 3, 2)).unwrap();
        assert_same_bits(&format!("{name}, second run"), &first.run(&pixels, EVERYTHING).unwrap(), &trace);
        assert_same_bits(&format!("{name}, second session"), &second.run(&pixels, EVERYTHING).unwrap(), &trace);
    }
}

#[test]
fn an_image_gives_the_same_bits_in_every_slot() {
    let config = config();
    let images = pixels(&config, 3, 5);
    let each = images.len() / 3;
    let four = [&images[..], &images[..each]].concat();
    for (name, condensation) in condensations() {
        let trace = open(small(), 4, Some(&condensation)).run(&four, EVERYTHING).unwrap();
        assert_same_bits(name, &slice(&trace, 3, 4), &slice(&trace, 0, 1));
        // The comparison can fail: another image gives other logits.
        assert!(relative(&slice(&trace, 1, 2).logits, &slice(&trace, 0, 1).logits) > 1e-3);
        let alone = open(small(), 1, Some(&condensation)).run(&images[..each], EVERYTHING).unwrap();
        assert_same_bits(&format!("{name}, alone"), &slice(&trace, 3, 4), &alone);
    }
}

#[test]
fn photographs_give_the_same_bits_in_every_slot_of_the_bundled_model() {
    let photos = photographs(&["chelsea", "rocket", "astronaut", "chelsea"]);
    for condensation in [None, Some(Condensation::training_free())] {
        let trace = open(bundled(), 4, condensation.as_ref()).run(&photos, EVERYTHING).unwrap();
        assert_same_bits("bundled", &slice(&trace, 3, 4), &slice(&trace, 0, 1));
    }
}

#[test]
fn any_number_of_images_goes_through_one_session() {
    let config = config();
    let images = pixels(&config, 9, 8);
    let each = images.len() / 9;
    let condensation = Condensation::training_free();
    let all = open(small(), 9, Some(&condensation)).run(&images, EVERYTHING).unwrap();
    let session = open(small(), 4, Some(&condensation));
    // Nine images run first: later results must not contain anything of them.
    for count in [9, 1, 3, 4, 5, 8] {
        let trace = session.run(&images[..count * each], EVERYTHING).unwrap();
        assert_eq!(trace.images, count);
        assert_same_bits(&format!("{count} images"), &trace, &slice(&all, 0, count));
    }
}

#[test]
fn dropping_nothing_is_the_full_model_to_the_bit() {
    let images = pixels(&config(), 2, 9);
    let full = open(small(), 2, None).run(&images, EVERYTHING).unwrap();
    for (name, condensation) in condensations() {
        let trace = open(small(), 2, Some(&condensation.drop_per_block(0))).run(&images, EVERYTHING).unwrap();
        assert!(trace.blocks.is_empty());
        assert_same_bits(name, &trace, &full);
    }
    let condensed = open(small(), 2, Some(&Condensation::paper().drop_per_block(1))).run(&images, EVERYTHING).unwrap();
    assert!(relative(&condensed.logits, &full.logits) > 1e-6, "dropping one token is seen");
}

#[test]
fn threads_share_a_model() {
    let images = pixels(&config(), 2, 11);
    let condensation = Condensation::training_free();
    let run = |condensation: Option<&Condensation>| {
        let session = open(small(), 2, condensation);
        (0..8).map(|_| session.run(&images, EVERYTHING).unwrap()).collect::<Vec<_>>()
    };
    let [full, condensed] = [run(None).remove(0), run(Some(&condensation)).remove(0)];
    std::thread::scope(|scope| {
        let workers = [scope.spawn(|| run(None)), scope.spawn(|| run(Some(&condensation)))];
        for (worker, expected) in workers.into_iter().zip([&full, &condensed]) {
            for trace in worker.join().unwrap() {
                assert_same_bits("thread", &trace, expected);
            }
        }
    });
}

#[test]
fn only_what_is_wanted_is_read_back() {
    let images = pixels(&config(), 1, 12);
    let session = open(small(), 1, Some(&Condensation::paper()));
    let trace = session.run(&images, Outputs::logits()).unwrap();
    assert!(trace.features.is_empty() && trace.blocks.is_empty() && trace.logits.len() == 10);
    assert_eq!(session.features(&images).unwrap(), session.run(&images, EVERYTHING).unwrap().features);
}
