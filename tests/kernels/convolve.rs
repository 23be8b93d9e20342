use tcvit::low_level::gpu::{Home, Internals, Operation, Placed, Precision, Recorder, Way};
use tcvit::low_level::kernels::convolve::{Bindings, Call, Params, Window, cooperative, record, texels};

use crate::{AWKWARD, buffer, gpu, read, run, sweep, ways};

/// Every way that this adapter can run, each with a call that it takes.
fn all_ways(params: Params, relu: bool) -> Vec<(&'static Way<Call>, Call)> {
    let has_subgroups = cfg!(feature = "software") && gpu().traits().lanes().is_some();
    let textures = has_subgroups.then_some((Precision::F32, Home::Texture));
    let places = [(Precision::F16, Home::Buffer)].into_iter().chain(textures);
    let calls = places.map(|(precision, home)| Call { params, relu, precision, home });
    calls.flat_map(|call| ways(&call).into_iter().map(move |way| (way, call))).collect()
}

/// Weights [taps, 4] in `home`.
fn placed(w: &[f32], home: Home) -> Placed {
    let row = if home == Home::Texture { 8 } else { 4 };
    let rows = w.chunks_exact(4).flat_map(|four| four.iter().copied().chain([0.0; 4]).take(row));
    Placed::upload(gpu(), "w", &rows.collect::<Vec<f32>>(), texels(w.len() / 4, 4), home).unwrap()
}

/// Sweeps the plain way and the way by subgroups.
fn sweep_both(sizes: impl IntoIterator<Item = [usize; 6]> + Clone) {
    let has_ways = |name: &&str| Call::ways().iter().any(|way| way.kernel.name == *name && gpu().supports(way.kernel));
    for name in ["convolve", "convolve_subgroup"].into_iter().filter(has_ways) {
        sweep(name, sizes.clone());
    }
}

#[test]
fn agrees_at_every_small_size() {
    sweep_both(
        (1..=34).map(|side| [1 + side % 3, 1 + side % 4, 1 + side % 11, side, 1 + side % 5 % side, 1 + side % 3]),
    );
    sweep_both((1..=36).map(|outputs| [1, 1 + outputs % 7, outputs, 9, 3, 1]));
    sweep_both((1..=9).flat_map(|k| (1..=4).map(move |stride| [2, 3, 5, 9 + stride, k, stride])));
}

#[test]
fn agrees_at_awkward_sizes() {
    sweep_both(AWKWARD.map(|side| [1, 1 + side % 2, 1 + side % 5, side, 3, 1]));
    sweep_both(AWKWARD.map(|outputs| [2, 3, outputs, 5, 3, 1 + outputs % 2]));
    sweep_both(AWKWARD.map(|inputs| [1, inputs, 6, 6, 1 + inputs % 5, 1]));
}

#[test]
fn agrees_at_the_sizes_of_a_stem() {
    sweep_both([
        [1, 3, 64, 64, 7, 2],
        [1, 3, 9, 224, 7, 2],
        [1, 4, 8, 112, 3, 1],
        [2, 64, 64, 23, 3, 1],
        [1, 64, 48, 32, 8, 8],
        [1, 128, 128, 9, 3, 1],
    ]);
}

/// A kernel that is zero but for a single one shifts the image. The test tells every place of the kernel apart.
#[test]
fn a_kernel_with_a_single_one_moves_the_image() {
    let side = 5usize;
    let image: Vec<f32> = (1..=25).map(|i| i as f32).collect();
    let window = Window { kernel: 3, stride: 1, padding: 1 };
    let places = (0..3).flat_map(|v| (0..3).map(move |u| (v, u)));
    let all_ways = all_ways(Params::new(1, [1, 1], side, window), false);
    for ((v, u), &(way, call)) in places.flat_map(|place| all_ways.iter().map(move |way| (place, way))) {
        let mut w = [0.0f32; 9 * 4];
        w[(v * 3 + u) * 4] = 1.0;
        let y = buffer(&[f32::NAN; 25]);
        let w = placed(&w, call.home);
        let bindings = Bindings { x: &buffer(&image), w: w.matrix(), bias: &buffer(&[0.5f32; 4]), y: &y };
        run(|recorder| record(recorder, way, call, bindings));
        let at = |line: usize, column: usize| match (line + v).checked_sub(1).zip((column + u).checked_sub(1)) {
            Some((line, column)) if line < side && column < side => image[line * side + column],
            _ => 0.0,
        };
        let expected: Vec<f32> = (0..25).map(|i| at(i / side, i % side) + 0.5).collect();
        assert_eq!(read::<f32>(&y, 25), expected, "{way:?}: {v}, {u}");
    }
}

/// Padding is zero whatever number lies at the edge, so a NaN there reaches only pixels whose kernel covers it.
#[test]
fn a_nan_reaches_only_where_the_kernel_covers_it() {
    let side = 12usize;
    let window = Window { kernel: 3, stride: 1, padding: 1 };
    let mut x = vec![1.0f32; 2 * side * side];
    x[side * side - 1] = f32::NAN;
    let params = Params::new(2, [1, 1], side, window);
    for (way, call) in [false, true].into_iter().flat_map(|relu| all_ways(params, relu)) {
        let y = buffer(&vec![0.0f32; 2 * side * side]);
        let w = placed(&[0.1; 36], call.home);
        let bindings = Bindings { x: &buffer(&x), w: w.matrix(), bias: &buffer(&[0.0f32; 4]), y: &y };
        run(|recorder| record(recorder, way, call, bindings));
        for (at, value) in read::<f32>(&y, 2 * side * side).into_iter().enumerate() {
            let (line, column) = (at / side, at % side);
            let covered = line < side && line + 2 >= side && column + 2 >= side;
            assert_eq!(value.is_nan(), covered, "{way:?}: line {line}, column {column}: {value}");
        }
    }
}

#[test]
fn a_kernel_larger_than_the_image_is_refused() {
    let x = buffer(&[0.0f32; 64]);
    let y = buffer(&[0.0f32; 64]);
    let params = Params::new(1, [1, 1], 3, Window { kernel: 6, stride: 1, padding: 1 });
    for (way, call) in all_ways(params, false) {
        let w = placed(&[0.0; 144], call.home);
        let bindings = Bindings { x: &x, w: w.matrix(), bias: &x, y: &y };
        let error = record(&mut Recorder::new(gpu()), way, call, bindings).unwrap_err().to_string();
        assert!(error.contains("kernel of 6 pixels") && error.contains("3 pixels and 1 zeros"), "{error}");
    }
}

/// The way by cooperative matrices, if the adapter has them: with channels that are whole slabs and with others, at the
/// sizes of a stem, and around every edge of a workgroup's part of y.
#[test]
fn by_matrices_agrees_at_every_edge() {
    let ways = all_ways(Params::new(1, [1, 1], 1, Window { kernel: 1, stride: 1, padding: 0 }), false);
    if !ways.iter().any(|(way, _)| way.kernel.name == cooperative::KERNEL.name) {
        return crate::skip(&cooperative::KERNEL, gpu());
    }
    sweep(
        "convolve_cooperative",
        (1..=20).map(|side| [1 + side % 2, 1 + side % 5, 1 + side % 11, side, 1 + side % 4 % side, 1]),
    );
    sweep("convolve_cooperative", [1, 31, 33, 63, 65, 100, 129].map(|outputs| [1, 2 + outputs % 3, outputs, 9, 3, 1]));
    sweep("convolve_cooperative", [16, 32, 48, 64, 96, 160].map(|inputs| [2, inputs, 36, 7, 3, 1 + inputs / 32 % 2]));
    sweep("convolve_cooperative", [[1, 3, 64, 64, 7, 2], [2, 64, 64, 23, 3, 1], [1, 64, 48, 32, 8, 8]]);
}
