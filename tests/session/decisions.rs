//! The decisions of a condensation: how many tokens are kept, which ones, and what is refused before anything runs.

use tcvit::condensation::{Condensation, Reducer};
use tcvit::config::{Head, Stem};
use tcvit::trace::{BlockTrace, PRUNED};
use tcvit::{Model, Precision, SessionOptions, Trace, VitConfig};

use crate::support::small::{EVERYTHING, bundled, condensations, config, open, photographs, pixels, refused, small};
use crate::support::{gpu, stored_in};

/// Kept, assigned and scores of one image in a block.
fn rows(block: &BlockTrace, image: usize) -> (&[u32], &[u32], &[f32]) {
    let (n, k) = (block.patches, block.kept_count);
    (
        &block.kept[image * k..(image + 1) * k],
        &block.assigned[image * n..(image + 1) * n],
        &block.score[image * n..(image + 1) * n],
    )
}

/// The number of the image's patches that each token stands for after the last block, and the number that were pruned.
fn sizes(trace: &Trace, image: usize) -> (Vec<usize>, usize) {
    let patches = trace.blocks[0].patches;
    let mut place: Vec<Option<usize>> = (0..patches).map(Some).collect();
    for block in &trace.blocks {
        let assigned = rows(block, image).1;
        for place in &mut place {
            *place = place.map(|token| assigned[token]).filter(|&token| token != PRUNED).map(|token| token as usize);
        }
    }
    let mut sizes = vec![0; trace.blocks.last().unwrap().kept_count];
    place.iter().flatten().for_each(|&token| sizes[token] += 1);
    (sizes, place.iter().filter(|place| place.is_none()).count())
}

fn check_invariants(label: &str, trace: &Trace, condensation: &Condensation) {
    let (tome, fuses) = (condensation.reducer == Reducer::Tome, condensation.fuses());
    for (index, block) in trace.blocks.iter().enumerate() {
        let label = format!("{label}, block {}", block.block);
        if let Some(next) = trace.blocks.get(index + 1) {
            assert_eq!(next.patches, block.kept_count, "{label}: what stays is what comes in next");
        }
        assert_eq!(block.kept.len(), trace.images * block.kept_count, "{label}");
        assert_eq!(block.score.len(), trace.images * block.patches, "{label}");
        for image in 0..trace.images {
            let (kept, assigned, score) = rows(block, image);
            // ToMe lists the rest of its first set before its second set. Since the class token comes first, the first
            // set has the odd patches.
            let place = |token: &u32| (tome && token.is_multiple_of(2), *token);
            assert!(kept.is_sorted_by(|a, b| place(a) < place(b)), "{label}: kept is not in order: {kept:?}");
            assert!(kept.iter().all(|&token| (token as usize) < block.patches), "{label}: {kept:?}");
            assert!(score.iter().all(|score| score.is_finite()), "{label}: {score:?}");
            for (place, &token) in kept.iter().enumerate() {
                assert_eq!(assigned[token as usize] as usize, place, "{label}: a kept token is part of itself");
            }
            for (token, &place) in assigned.iter().enumerate() {
                let stays = kept.contains(&(token as u32));
                match fuses {
                    false if !stays => assert_eq!(place, PRUNED, "{label}: token {token}"),
                    _ => assert!((place as usize) < block.kept_count, "{label}: token {token} went to {place}"),
                }
            }
            // Tokens are ranked by score, and equal scores by the lower index.
            let mut ranked: Vec<usize> = (0..block.patches).collect();
            ranked.sort_by(|&a, &b| score[b].partial_cmp(&score[a]).unwrap().then(a.cmp(&b)));
            let mut expected: Vec<u32> = ranked[..block.kept_count].iter().map(|&token| token as u32).collect();
            expected.sort_unstable_by_key(place);
            assert_eq!(kept, expected, "{label}: not the best scores");
        }
    }
    for image in 0..trace.images {
        let (sizes, pruned) = sizes(trace, image);
        assert_eq!(sizes.iter().sum::<usize>() + pruned, trace.blocks[0].patches, "{label}: no patch is lost");
        assert!(sizes.iter().all(|&size| size > 0), "{label}: every token stands for a patch: {sizes:?}");
        assert_eq!(pruned > 0, !fuses, "{label}: {pruned} pruned");
    }
}

#[test]
fn traces_are_consistent() {
    let images = pixels(&config(), 3, 41);
    for (name, condensation) in condensations() {
        let condensation = condensation.schedule([4, 0, 5]);
        let trace = open(small(), 3, Some(&condensation)).run(&images, EVERYTHING).unwrap();
        assert_eq!(trace.blocks.iter().map(|block| block.block).collect::<Vec<_>>(), [0, 2]);
        assert_eq!((trace.images, trace.tokens, trace.width, trace.classes), (3, 1 + 7, 64, 10));
        check_invariants(name, &trace, &condensation);
    }
}

#[test]
fn traces_of_the_bundled_model_are_consistent() {
    let photos = photographs(&["chelsea", "coffee"]);
    for (name, condensation) in condensations() {
        let trace = open(bundled(), 2, Some(&condensation)).run(&photos, EVERYTHING).unwrap();
        check_invariants(name, &trace, &condensation);
    }
}

/// The checks can fail: each of these changes to a trace is detected.
#[test]
fn a_spoilt_trace_is_seen() {
    let condensation = Condensation::training_free().drop_per_block(4);
    let trace = open(small(), 1, Some(&condensation)).run(&pixels(&config(), 1, 42), EVERYTHING).unwrap();
    type Change = fn(&mut BlockTrace);
    let spoil: [(&str, Change); 5] = [
        ("order", |block| block.kept.swap(0, 1)),
        ("range", |block| *block.kept.last_mut().unwrap() = 16),
        ("pruned", |block| block.assigned[block.kept[0] as usize] = PRUNED),
        ("score", |block| block.score[block.kept[2] as usize] = f32::NAN),
        ("rank", |block| block.score[block.kept[2] as usize] = -1e30),
    ];
    for (name, change) in spoil {
        let mut spoilt = trace.clone();
        change(&mut spoilt.blocks[0]);
        let seen = std::panic::catch_unwind(|| check_invariants("spoilt", &spoilt, &condensation));
        assert!(seen.is_err(), "{name} is not seen");
    }
}

#[test]
fn all_but_one_token_can_go() {
    let distilled = {
        let mut config = VitConfig::new(32, 8, 32, 2, 2, 5);
        (config.head, config.registers) = (Head::ClassAndDistillation, 2);
        config
    };
    let mut pooled = VitConfig::new(32, 8, 32, 2, 2, 5);
    pooled.head = Head::MeanPooled;
    let mut lvvit = VitConfig::new(32, 8, 32, 2, 2, 5);
    (lvvit.stem, lvvit.head) = (Stem::Convolutional { channels: 8 }, Head::ClassAndTokenMax);
    for config in [VitConfig::new(32, 8, 32, 2, 2, 5), distilled, pooled, lvvit] {
        let model = Model::random_with(gpu(), &config, 4, &stored_in(Precision::F32)).unwrap();
        let any = condensations().into_iter().filter(|(_, condensation)| condensation.reducer != Reducer::Tome);
        for (name, condensation) in any {
            for schedule in [[15, 0], [0, 15], [8, 7]] {
                let condensation = condensation.clone().schedule(schedule);
                let trace = open(&model, 2, Some(&condensation)).run(&pixels(&config, 2, 43), EVERYTHING).unwrap();
                let label = format!("{:?} {name} {schedule:?}", config.head);
                assert_eq!(trace.tokens, config.prefix() + 1, "{label}");
                assert_eq!(trace.blocks.last().unwrap().kept_count, 1, "{label}");
                check_invariants(&label, &trace, &condensation);
                if condensation.fuses() {
                    assert_eq!(sizes(&trace, 0).0, [16], "{label}: the one that stays stands for all");
                }
            }
        }
    }
}

#[test]
fn a_schedule_that_empties_a_block_names_it() {
    let refuse = |condensation: Condensation, texts: &[&str]| {
        refused(small().session(SessionOptions::new().condense(condensation)), "Config", texts)
    };
    refuse(Condensation::paper().drop_per_block(6), &["schedule", "block 2", "has 4", "at most 3", "6"]);
    refuse(Condensation::paper().drop_per_block(16), &["block 0", "has 16", "at most 15"]);
    refuse(Condensation::paper().schedule([0, 16, 0]), &["block 1", "at most 15", "16"]);
    refuse(Condensation::paper().drop_per_block(usize::MAX), &["block 0"]);
    refuse(Condensation::paper().schedule([1, 2]), &["3 blocks", "2 numbers"]);
    refuse(Condensation::paper().schedule(Vec::new()), &["3 blocks", "0 numbers"]);
}

#[test]
fn features_have_the_shape_that_the_plan_says() {
    for classes in [0, 10] {
        let config = VitConfig::new(32, 8, 32, 2, 2, classes);
        let model = Model::random_with(gpu(), &config, 5, &stored_in(Precision::F32)).unwrap();
        for (condensation, tokens) in [(None, 17), (Some(Condensation::training_free().drop_per_block(3)), 11)] {
            let session = open(&model, 2, condensation.as_ref());
            let features = session.features(&pixels(&config, 3, 44)).unwrap();
            assert_eq!((session.plan().last_tokens(), features.len()), (tokens, 3 * tokens * 32));
            assert_eq!(session.logits(&pixels(&config, 3, 44)).unwrap().len(), 3 * classes);
        }
        let photo = image::RgbImage::from_pixel(40, 30, image::Rgb([200, 100, 50]));
        let session = open(&model, 1, None);
        match classes {
            0 => drop(refused(session.classify(&[photo]), "Config", &["classify", "head", "features"])),
            _ => assert_eq!(session.classify(&[photo]).unwrap()[0].classes.len(), 10),
        }
    }
}

/// 45 by 45 patch tokens, nearly as many as can be ranked.
#[test]
fn two_thousand_tokens_condense() {
    let config = VitConfig::new(180, 4, 32, 2, 1, 5);
    assert_eq!(config.patches(), 2025);
    let model = Model::random_with(gpu(), &config, 6, &stored_in(Precision::F32)).unwrap();
    for condensation in
        [Condensation::paper(), Condensation::training_free(), Condensation::tome(), Condensation::evit()]
    {
        let condensation = condensation.schedule([20, 60]);
        let trace = open(&model, 1, Some(&condensation)).run(&pixels(&config, 1, 45), EVERYTHING).unwrap();
        check_invariants(&condensation.to_string(), &trace, &condensation);
        assert_eq!(trace.tokens, 1 + 2025 - 80);
    }
}
