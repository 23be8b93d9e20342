//! The thin path gives the same rows of C as the dense path, element by element, both on the GPU and from the same W.

mod support;

use support::gpu;
use tcvit::condensation::Chain;
use tcvit::low_level::connectivity_matrix;
use tcvit::low_level::gpu::{Recorder, download, empty, upload};
use tcvit::low_level::kernels::connectivity::{Bindings, Params, Part, record};
use tcvit::low_level::random::Random;

/// Rows of a softmax, scaled to sum to less than 1, as if prefix tokens had the rest.
fn connectivity(patches: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::named("w", seed);
    let mut w = Vec::new();
    for _ in 0..patches {
        let row: Vec<f64> = (0..patches).map(|_| (3.0 * random.unit()).exp()).collect();
        let sum: f64 = row.iter().sum::<f64>() * 1.1;
        w.extend(row.iter().map(|v| (v / sum) as f32));
    }
    w
}

fn thin(w: &[f32], patches: usize, chain: Chain, part: Part) -> Vec<f32> {
    let list: Vec<u32> = (0..patches as u32).collect();
    let (mean, diagonal) = (matches!(part, Part::ColumnMean | Part::RowMean), part == Part::Diagonal);
    let rows = if mean { 1 } else { patches };
    let len = if diagonal { rows } else { rows * patches };
    let (matrix, list) = (upload(gpu(), "w", w).unwrap(), upload(gpu(), "list", &list).unwrap());
    let result = empty(gpu(), "result", len).unwrap();
    let mut recorder = Recorder::new(gpu());
    let params = match mean {
        true => Params::mean(patches, chain),
        false => Params::listed(patches, patches, patches, 0, chain),
    };
    record(&mut recorder, params, 1, part, Bindings { w: &matrix, list: &list, result: &result }).unwrap();
    recorder.finish().unwrap().submit(gpu()).unwrap();
    download(gpu(), &result, len).unwrap()
}

/// The largest difference of two rows, relative to the row's largest magnitude.
fn difference(got: &[f32], expected: &[f32]) -> f32 {
    support::relative(got, expected) as f32
}

#[test]
fn rows_diagonals_and_means_agree() {
    let mut worst = [0.0f32; 4];
    for patches in [1, 2, 5, 31, 65, 129] {
        for (order, newton_steps) in
            [1, 2, 3, 4, 5, 8, 32].map(|k| (k, None)).into_iter().chain((0..4).map(|steps| (2, Some(steps))))
        {
            let chain = Chain { order, alpha: 500.0, newton_steps };
            let w = connectivity(patches, u64::from(order));
            let dense = connectivity_matrix(gpu(), &w, patches, chain).unwrap();
            let rows = thin(&w, patches, chain, Part::Rows);
            for (row, expected) in rows.chunks_exact(patches).zip(dense.chunks_exact(patches)) {
                worst[0] = worst[0].max(difference(row, expected));
                assert!(difference(row, expected) <= 1e-4, "{patches} patches, {chain:?}");
            }
            let diagonal: Vec<f32> = (0..patches).map(|i| dense[i * patches + i]).collect();
            let mut columns = vec![0.0f64; patches];
            for row in dense.chunks_exact(patches) {
                columns.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v) / patches as f64);
            }
            let columns: Vec<f32> = columns.iter().map(|&v| v as f32).collect();
            let means: Vec<f32> = dense
                .chunks_exact(patches)
                .map(|row| (row.iter().map(|&v| f64::from(v)).sum::<f64>() / patches as f64) as f32)
                .collect();
            for (index, (part, expected)) in
                [(Part::Diagonal, diagonal), (Part::ColumnMean, columns), (Part::RowMean, means)]
                    .into_iter()
                    .enumerate()
            {
                let found = difference(&thin(&w, patches, chain, part), &expected);
                worst[index + 1] = worst[index + 1].max(found);
                assert!(found <= 1e-4, "{patches} patches, {chain:?}, {part:?}: {found:e}");
            }
        }
    }
    println!(
        "worst: rows {:e}, diagonal {:e}, column mean {:e}, row mean {:e}",
        worst[0], worst[1], worst[2], worst[3]
    );
}
