use tcvit::low_level::gpu::Way;
use tcvit::low_level::kernels::fuse::{Bindings, Call, Fusion, Params, record};
use tcvit::low_level::random::Random;

use crate::{AWKWARD, REAL, bits, buffer, read, run, sweep, ways};

#[test]
fn agrees_at_every_small_size_and_count() {
    let counts = |patches: usize| {
        [1, patches.div_ceil(2), patches - 1]
            .map(|dropped| [1 + patches % 3, 1 + patches % 4, patches, dropped.max(1), 4 * (1 + patches % 5)])
    };
    sweep("fuse", (2..=64).flat_map(counts));
}

#[test]
fn agrees_at_awkward_and_real_sizes() {
    sweep("fuse", AWKWARD.map(|patches| [2, 2, patches, 14, 20]));
    sweep("fuse", REAL.map(|patches| [1, 1, patches, 16, 192]));
    sweep("fuse", [[1, 1, 196, 195, 64], [3, 5, 49, 7, 768], [1, 1, 2048, 1024, 4]]);
}

/// There are three patch tokens of one vec4 each, and token 1 is fused into token 2. Returns token 2 and its size,
/// which must be the same by every way.
fn fuse_pair(connection: f32, diagonal: f32, fusion: Fusion) -> (f32, f32) {
    let call = Call { params: Params { images: 1, prefix: 1, patches: 3, dropped: 1, width4: 1 }, fusion };
    let mut made = ways(&call).into_iter().map(|way| fuse_pair_by(way, call, connection, diagonal));
    let first = made.next().unwrap();
    assert!(made.all(|other| other == first), "{connection}, {diagonal}, {fusion:?}");
    first
}

fn fuse_pair_by(way: &Way<Call>, call: Call, connection: f32, diagonal: f32) -> (f32, f32) {
    let tokens: Vec<f32> = [7.0, -1.0, 9.0, 1.0].iter().flat_map(|&v| [v; 4]).collect();
    let (fused, fused_sizes, rows) = (buffer(&tokens), buffer(&[f32::NAN; 3]), buffer(&[u32::MAX; 3]));
    let bindings = Bindings {
        tokens: &fused,
        sizes: &buffer(&[1.0f32, 2.0, 3.0, 1.0]),
        order: &buffer(&[0u32, 2, 1]),
        assigned: &buffer(&[2u32]),
        connection: &buffer(&[connection]),
        diagonal: &buffer(&[diagonal]),
        fused_sizes: &fused_sizes,
        rows: &rows,
    };
    run(|recorder| record(recorder, way, call, bindings));
    let (fused, sizes): (Vec<f32>, Vec<f32>) = (read(&fused, 16), read(&fused_sizes, 3));
    assert_eq!(read::<u32>(&rows, 3), [0, 1, 3]);
    assert_eq!(fused[..12], tokens[..12], "only the token that is fused into changes");
    assert_eq!((sizes[0], sizes[1]), (1.0, 2.0));
    assert!(fused[12..].iter().all(|v| v.to_bits() == fused[12].to_bits()));
    (fused[12], sizes[2])
}

#[test]
fn a_pair_becomes_its_weighted_mean_or_the_plain_one() {
    const INF: f32 = f32::INFINITY;
    // Token 2 holds 1 and token 1 holds 9.
    assert_eq!(fuse_pair(1.0, 3.0, Fusion::Connectivity), (3.0, 4.0));
    assert_eq!(fuse_pair(-1.0, 3.0, Fusion::Connectivity), (-3.0, 4.0));
    assert_eq!(fuse_pair(1.0, 0.0, Fusion::Connectivity), (9.0, 4.0));
    assert_eq!(fuse_pair(0.0, 1.0, Fusion::Connectivity), (1.0, 4.0));
    assert_eq!(fuse_pair(5.0, 5.0, Fusion::Size), (7.0, 4.0));
    assert_eq!(fuse_pair(f32::NAN, 0.0, Fusion::Size), (7.0, 4.0));
    assert_eq!(fuse_pair(1.0, 3.0, Fusion::None), (1.0, 1.0));
    // 3 * 1 + 2 * 9, not divided by the sum of weights.
    assert_eq!(fuse_pair(2.0, 3.0, Fusion::Sum), (21.0, 4.0));
    assert_eq!(fuse_pair(-3.0, 3.0, Fusion::Sum), (-24.0, 4.0));
    let useless = [
        (0.0, 0.0),
        (-0.0, 0.0),
        (2.0, -2.0),
        (f32::NAN, 1.0),
        (1.0, f32::NAN),
        (INF, 1.0),
        (1.0, INF),
        (INF, -INF),
        (-INF, -INF),
        (3e38, 3e38),
    ];
    for (connection, diagonal) in useless {
        assert_eq!(fuse_pair(connection, diagonal, Fusion::Connectivity), (5.0, 4.0), "{connection}, {diagonal}");
    }
}

#[test]
fn unmatched_tokens_keep_their_bits_and_two_runs_agree() {
    let (images, prefix, patches, dropped, width) = (2, 2, 100, 40, 48);
    let (kept, incoming, remaining) = (patches - dropped, prefix + patches, prefix + patches - dropped);
    let mut random = Random::named("bits", 1);
    let mut tokens = random.tensor(images * (prefix + patches) * width, 0.0, 1e3);
    for value in tokens.iter_mut().step_by(31) {
        *value = [-0.0, f32::MAX, f32::MIN_POSITIVE, 1.0 / 3.0][random.below(4)];
    }
    // Even tokens and the last 20 are kept; each dropped token goes to one of the first 16 kept ones.
    let order: Vec<u32> = {
        let stays = |token: &u32| token.is_multiple_of(2) || *token >= 80;
        let (stay, go): (Vec<u32>, Vec<u32>) = (0..patches as u32).partition(stays);
        [stay.clone(), go.clone(), stay, go].concat()
    };
    assert_eq!(order.len(), images * patches);
    let assigned: Vec<u32> = (0..images * dropped).map(|_| order[random.below(16)]).collect();
    let weights = random.tensor(images * dropped, 1.0, 0.5);
    let sizes = buffer(&vec![1.0f32; images * incoming]);
    let (order_buffer, assigned_buffer, weights_buffer) = (buffer(&order), buffer(&assigned), buffer(&weights));
    let params = Params {
        images: images as u32,
        prefix: prefix as u32,
        patches: patches as u32,
        dropped: dropped as u32,
        width4: (width / 4) as u32,
    };
    let calls = [Fusion::Connectivity, Fusion::Size, Fusion::None].map(|fusion| Call { params, fusion });
    for (call, way) in calls.into_iter().flat_map(|call| ways(&call).into_iter().map(move |way| (call, way))) {
        let what = format!("{way:?}, {:?}", call.fusion);
        let fuse = || {
            let (fused, rows) = (buffer(&tokens), buffer(&vec![u32::MAX; images * remaining]));
            let bindings = Bindings {
                tokens: &fused,
                sizes: &sizes,
                order: &order_buffer,
                assigned: &assigned_buffer,
                connection: &weights_buffer,
                diagonal: &weights_buffer,
                fused_sizes: &buffer(&vec![f32::NAN; images * remaining]),
                rows: &rows,
            };
            run(|recorder| record(recorder, way, call, bindings));
            (bits(&read::<f32>(&fused, images * incoming * width)), read::<u32>(&rows, images * remaining))
        };
        let first = fuse();
        let (tokens_after, rows) = &first;
        for _ in 0..3 {
            assert!(fuse() == first, "{what}: two runs differ");
        }
        let mut unmatched = 0;
        for image in 0..images {
            for place in 0..remaining {
                let token = if place < prefix {
                    place
                } else {
                    let own = order[image * patches + place - prefix];
                    if call.fusion != Fusion::None && assigned[image * dropped..][..dropped].contains(&own) {
                        continue;
                    }
                    prefix + own as usize
                };
                unmatched += 1;
                let row = image * incoming + token;
                assert_eq!(rows[image * remaining + place], row as u32, "{what}: token {token} of image {image}");
                let [source, got] =
                    [bits(&tokens), tokens_after.clone()].map(|all| all[row * width..][..width].to_vec());
                assert!(got == source, "{what}: token {token} of image {image} changed");
            }
        }
        assert!(unmatched >= images * (kept - 16 + prefix));
    }
}
