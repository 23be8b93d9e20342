//! These tests are skipped, with a message, if the adapter has no cooperative matrices; `scripts/cooperative` finds a
//! driver that has them.

use half::f16;
use tcvit::config::Activation;
use tcvit::low_level::gpu::{
    Context, Internals, Operation, Precision, Recorder, SHADERS, Tile, Types, Way, download, upload,
};
use tcvit::low_level::kernels::linear::cooperative::KERNEL;
use tcvit::low_level::kernels::linear::{Bindings, Call, Epilogue, Params, record};
use tcvit::low_level::random::Random;
use tcvit::low_level::ways;

use crate::broken::{open, write_shaders};
use crate::{buffer, gpu, read, run};

fn supported() -> bool {
    let supported = gpu().supports(&KERNEL);
    if !supported {
        crate::skip(&KERNEL, gpu());
    }
    supported
}

fn sweep(sizes: impl IntoIterator<Item = [usize; 3]>) {
    if supported() {
        crate::sweep("linear_cooperative", sizes);
    }
}

#[test]
fn agrees_at_every_small_size() {
    sweep((1..=18).flat_map(|rows| (1..=18).map(move |columns| [rows, 4 * (1 + (rows + columns) % 9), columns])));
    sweep((1..=66).map(|n| [n, 4 * n, 67 - n]));
}

#[test]
fn agrees_around_tiles_and_blocks() {
    let edges = [15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129];
    sweep(edges.into_iter().flat_map(|m| edges.map(|n| [m, 4 * (m % 7 + n % 5 + 1), n])));
}

#[test]
fn agrees_at_every_depth() {
    sweep((1..=36).map(|k| [33, 4 * k, 65]));
}

#[test]
fn agrees_at_real_widths() {
    sweep([[577, 384, 384], [197, 768, 192], [1370, 64, 192], [1, 1024, 1000], [13, 588, 29], [257, 192, 768]]);
}

/// A product with f16 operands.
fn call(params: Params, epilogue: Epilogue, output: Precision) -> Call {
    Call { params, types: Types::new(Precision::F16, output), epilogue }
}

/// The ways by cooperative matrices that this adapter can run.
fn cooperative(call: &Call) -> Vec<&'static Way<Call>> {
    crate::ways(call).into_iter().filter(|way| way.kernel.name == KERNEL.name).collect()
}

/// The buffers of one product: x, w and bias.
fn operands(x: &[f32], w: &[f32], bias: &[f32]) -> [wgpu::Buffer; 3] {
    let halves = |values: &[f32]| buffer(&values.iter().map(|&v| f16::from_f32(v)).collect::<Vec<_>>());
    [halves(x), halves(w), buffer(bias)]
}

#[test]
fn a_nan_stays_in_its_row() {
    if !supported() {
        return;
    }
    let mut random = Random::named("nan", 1);
    let (rows, inner, columns) = (21usize, 20usize, 16usize);
    let mut x = random.tensor(rows * inner, 0.0, 1.0);
    let w = random.tensor(inner * columns, 0.0, 1.0);
    x[11 * inner + 5] = f32::NAN;
    let [x, w, bias] = operands(&x, &w, &[0.0; 16]);
    for epilogue in [Epilogue::Store, Epilogue::Activate(Activation::Gelu), Epilogue::Accumulate] {
        let call = call(Params::new(rows, inner, columns), epilogue, Precision::F32);
        for way in cooperative(&call) {
            let y = buffer(&vec![0.5f32; rows * columns]);
            let bindings = Bindings { x: &x, w: (&w).into(), bias: &bias, y: &y, residual: None };
            run(|recorder| record(recorder, way, call, bindings));
            for (row, values) in read::<f32>(&y, rows * columns).chunks_exact(columns).enumerate() {
                assert!(
                    values.iter().all(|v| v.is_nan() == (row == 11)),
                    "{way:?}, {epilogue:?}, row {row}: {values:?}"
                );
            }
        }
    }
}

#[test]
fn nothing_is_written_past_the_end_of_y() {
    if !supported() {
        return;
    }
    let (rows, inner, columns) = (35usize, 12usize, 8usize);
    let [x, w, bias] = operands(&vec![1.0; rows * inner], &vec![1.0; inner * 8], &[2.0; 8]);
    let calls = Precision::ALL.map(|output| call(Params::new(rows, inner, columns), Epilogue::Store, output));
    for (call, way) in calls.into_iter().flat_map(|call| cooperative(&call).into_iter().map(move |way| (call, way))) {
        let output = call.types.output;
        let len = rows * columns;
        let y = buffer(&vec![0xdead_beef_u32; len + 64]);
        let bindings = Bindings { x: &x, w: (&w).into(), bias: &bias, y: &y, residual: None };
        run(|recorder| record(recorder, way, call, bindings));
        let words: Vec<u32> = read(&y, len + 64);
        let written = output.words(len);
        assert!(words[written..].iter().all(|&word| word == 0xdead_beef), "{way:?}, {output}");
        match output {
            Precision::F32 => assert!(words[..written].iter().all(|&word| f32::from_bits(word) == 14.0), "{way:?}"),
            Precision::F16 => {
                let halves: &[f16] = bytemuck::cast_slice(&words);
                assert!(halves[..len].iter().all(|&half| half == f16::from_f32(14.0)), "{way:?}");
            }
        }
    }
}

/// The same product twice gives the same bits.
#[test]
fn two_runs_agree_to_the_bit() {
    if !supported() {
        return;
    }
    let mut random = Random::named("twice", 1);
    let (rows, inner, columns) = (130usize, 96usize, 72usize);
    let x = random.tensor(rows * inner, 0.0, 1.0);
    let [x, w, bias] = operands(&x, &random.tensor(inner * columns, 0.0, 1.0), &vec![0.0; columns]);
    let call = call(Params::new(rows, inner, columns), Epilogue::Store, Precision::F32);
    for way in cooperative(&call) {
        let runs = [0, 1].map(|_| {
            let y = buffer(&vec![f32::NAN; rows * columns]);
            let bindings = Bindings { x: &x, w: (&w).into(), bias: &bias, y: &y, residual: None };
            run(|recorder| record(recorder, way, call, bindings));
            crate::bits(&read::<f32>(&y, rows * columns))
        });
        assert_eq!(runs[0], runs[1], "{way:?}");
    }
}

#[test]
fn a_device_of_the_application_has_what_its_adapter_has() {
    let own = Context::from_device(gpu().device().clone(), gpu().queue().clone()).unwrap();
    assert_eq!(own.traits().tile, gpu().traits().tile);
}

#[test]
fn a_device_without_them_has_no_way_by_them() {
    // The device has no optional feature, whatever the adapter has.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default())).unwrap();
    let (device, queue) = pollster::block_on(adapter.request_device(&Default::default())).unwrap();
    let gpu = Context::from_device(device, queue).unwrap();
    assert_eq!(gpu.traits().tile, None);
    let call = call(Params::new(8, 8, 8), Epilogue::Store, Precision::F32);
    let [x, w, bias] = [1, 2, 3].map(|_| upload(&gpu, "test", &[0.0f32; 64]).unwrap());
    for way in Call::ways().iter().filter(|way| way.kernel.name == KERNEL.name) {
        assert!(!ways::ranked(&gpu, &call).iter().any(|&(_, other)| other == way), "{way:?}");
        assert!(!ways::is_verified(&gpu, way, &call), "{way:?}");
        let bindings = Bindings { x: &x, w: (&w).into(), bias: &bias, y: &x, residual: None };
        let error = record(&mut Recorder::new(&gpu), way, call, bindings).unwrap_err().to_string();
        assert!(error.contains("linear_cooperative"), "{way:?}: {error}");
    }
}

/// The bits of one product on `gpu`, by every way.
fn product(gpu: &Context) -> Vec<u32> {
    let mut random = Random::named("product", 1);
    let (rows, inner, columns) = (75usize, 36usize, 140usize);
    let mut halves = |len| {
        let values: Vec<f16> = random.tensor(len, 0.0, 1.0).into_iter().map(f16::from_f32).collect();
        upload(gpu, "test", &values).unwrap()
    };
    let (x, w) = (halves(rows * inner), halves(inner * columns));
    let bias = upload(gpu, "test", &vec![0.25f32; columns]).unwrap();
    let y = upload(gpu, "test", &vec![f32::NAN; rows * columns]).unwrap();
    let bindings = Bindings { x: &x, w: (&w).into(), bias: &bias, y: &y, residual: None };
    let mut bits = Vec::new();
    let call = call(Params::new(rows, inner, columns), Epilogue::Store, Precision::F32);
    for way in cooperative(&call) {
        let mut recorder = Recorder::new(gpu);
        record(&mut recorder, way, call, bindings).unwrap();
        recorder.finish().unwrap().submit(gpu).unwrap();
        bits.extend(crate::bits(&download(gpu, &y, rows * columns).unwrap()));
    }
    bits
}

/// Asserts that the product keeps its bits if texts of shaders are replaced by others with the same meaning.
fn agrees_with(changes: &[(&str, &str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    write_shaders(folder.path(), changes);
    assert!(product(&open(folder.path())) == product(gpu()), "other bits");
}

/// A shader's text.
fn text_of(path: &str) -> &'static str {
    SHADERS.iter().find(|shader| shader.0 == path).unwrap().1
}

/// The shader for the other size of matrices stages slabs differently. Here that shader is changed to matrices of 8 by
/// 8, so that it can be tested on an adapter that has these.
#[test]
fn slabs_of_vectors_are_as_good_as_slabs_of_scalars() {
    if !supported() || gpu().traits().tile != Some(Tile::Eight) {
        return;
    }
    let vectors =
        text_of("shared/cooperative_16.wgsl").replace("16x16<", "8x8<").replace("SIDE: u32 = 16u", "SIDE: u32 = 8u");
    assert_eq!(vectors.matches("8x8<").count(), 3, "Left, Right and Sum");
    agrees_with(&[("shared/cooperative_8.wgsl", text_of("shared/cooperative_8.wgsl"), &vectors)]);
}

/// If a driver makes subgroups smaller than the largest size, a workgroup has more of them than it has parts.
#[test]
fn more_subgroups_than_needed_change_nothing() {
    if !supported() {
        return;
    }
    let (block, slabs) = ("block/linear_cooperative.wgsl", "shared/slabs.wgsl");
    let epilogue = "shared/cooperative_epilogue.wgsl";
    // The workgroup gets twice as many threads, and the shader does not assume that its subgroups are alike.
    let (given, alike) = ("override THREADS: u32 = 128u;", "override ALIKE: bool = false;");
    assert_eq!([given, alike].map(|part| text_of(block).matches(part).count()), [1, 1]);
    let twice = |path| text_of(path).replace("THREADS", "TWICE").replace("ALIKE", "NEVER");
    let block_twice = twice(block)
        .replace(&given.replace("THREADS", "TWICE"), &format!("{given}\noverride TWICE: u32 = 2u * THREADS;"))
        .replace(&alike.replace("ALIKE", "NEVER"), &format!("{alike}\nconst NEVER: bool = false;"));
    agrees_with(&[
        (block, text_of(block), &block_twice),
        (slabs, text_of(slabs), &twice(slabs)),
        (epilogue, text_of(epilogue), &twice(epilogue)),
    ]);
}
