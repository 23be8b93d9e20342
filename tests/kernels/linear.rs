use tcvit::config::Activation;
use tcvit::low_level::doctor;
use tcvit::low_level::gpu::Types;
use tcvit::low_level::kernels::linear::{Bindings, Call, Epilogue, Params, record};
use tcvit::low_level::random::Random;
use tcvit::low_level::reference::linear::gelu;

use crate::broken::{open, write_shaders};
use crate::{buffer, read, run, sweep_ways, ways};

#[test]
fn agrees_at_every_small_size() {
    sweep_ways("linear", (1..=18).flat_map(|rows| (1..=9).map(move |columns| [rows, 4 * (1 + rows % 5), columns])));
    sweep_ways("linear", (1..=64).map(|n| [n, 4 * n, 65 - n]));
}

#[test]
fn agrees_around_tiles_powers_of_two_and_real_widths() {
    let rows = [31, 32, 33, 63, 64, 65, 127, 197];
    let columns = [10, 63, 64, 65, 192, 1000];
    sweep_ways("linear", rows.into_iter().flat_map(|m| columns.map(|n| [m, 4 * (m % 7 + 1), n])));
    sweep_ways("linear", [[577, 384, 384], [197, 768, 192], [1370, 64, 192], [1, 1024, 1000], [13, 588, 29]]);
}

#[test]
fn tiles_agree_whether_they_are_fetched_ahead_or_not() {
    // A device decides which of the two it runs, so both are forced here.
    let path = "block/linear_tiled.wgsl";
    let text = tcvit::low_level::gpu::SHADERS.iter().find(|shader| shader.0 == path).unwrap().1;
    assert_eq!([text.matches("if AHEAD").count(), text.matches("if !AHEAD").count()], [2, 1]);
    let folder = tempfile::tempdir().unwrap();
    write_shaders(folder.path(), &[]);
    for ahead in [true, false] {
        let forced = text.replace("if AHEAD", &format!("if {ahead}")).replace("if !AHEAD", &format!("if {}", !ahead));
        std::fs::write(folder.path().join(path), forced).unwrap();
        let gpu = open(folder.path());
        for size in [[7, 20, 12], [33, 16, 65], [64, 4, 64], [65, 64, 68], [130, 72, 192]] {
            let finding = doctor::check(&gpu, "linear_tiled", &size, 1).unwrap();
            assert!(finding.passed(), "ahead {ahead}: {finding:?}");
        }
    }
}

#[test]
fn gelu_is_exact_to_a_millionth() {
    // A single weight of 1 passes the grid on to the epilogue.
    let grid: Vec<f32> = (-12 * 1024..=12 * 1024).map(|i| i as f32 / 1024.0).chain([1e-30, 1e5, -1e5, 1e30]).collect();
    let x: Vec<f32> = grid.iter().flat_map(|&x| [x, 0.0, 0.0, 0.0]).collect();
    let mut w = [0.0f32; 16];
    w[0] = 1.0;
    let w = buffer(&w);
    let call = Call {
        params: Params::new(grid.len(), 4, 1),
        types: Types::default(),
        epilogue: Epilogue::Activate(Activation::Gelu),
    };
    let mut worst = (0.0, 0.0);
    for way in ways(&call) {
        let y = buffer(&vec![f32::NAN; 4 * grid.len()]);
        let bindings = Bindings { x: &buffer(&x), w: (&w).into(), bias: &buffer(&[0.0f32; 4]), y: &y, residual: None };
        run(|recorder| record(recorder, way, call, bindings));
        let got = read::<f32>(&y, 4 * grid.len());
        for (&x, &y) in grid.iter().zip(got.iter().step_by(4)) {
            let error = (f64::from(y) - gelu(f64::from(x))).abs() / f64::from(x).abs().max(1.0);
            assert!(error <= 1e-6, "{way:?}: gelu({x}) = {y}, off by {error:e}");
            if error > worst.0 {
                worst = (error, x);
            }
        }
    }
    println!("gelu: off by {:.1e} at most, at {}", worst.0, worst.1);
}

#[test]
fn a_nan_stays_in_its_row() {
    let mut random = Random::named("nan", 1);
    let (rows, inner, columns) = (21usize, 16usize, 16usize);
    let mut x = random.tensor(rows * inner, 0.0, 1.0);
    let w = buffer(&random.tensor(inner * columns, 0.0, 1.0));
    x[11 * inner + 5] = f32::NAN;
    let params = Params::new(rows, inner, columns);
    for epilogue in Epilogue::ALL.into_iter().filter(|&epilogue| epilogue != Epilogue::Gather) {
        let call = Call { params, types: Types::default(), epilogue };
        for way in ways(&call) {
            let y = buffer(&vec![0.5f32; rows * columns]);
            let bindings =
                Bindings { x: &buffer(&x), w: (&w).into(), bias: &buffer(&[0.0f32; 16]), y: &y, residual: None };
            run(|recorder| record(recorder, way, call, bindings));
            for (row, values) in read::<f32>(&y, rows * columns).chunks_exact(columns).enumerate() {
                let right = values.iter().all(|v| v.is_nan() == (row == 11));
                assert!(right, "{way:?}, {epilogue:?}, row {row}: {values:?}");
            }
        }
    }
}
