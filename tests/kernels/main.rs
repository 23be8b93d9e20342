//! Compares every kernel with its CPU reference over awkward sizes, and on inputs with known answers. There is one file
//! for each operation.

mod assemble;
mod assign;
mod assign_lowest;
mod attention;
mod attention_connectivity;
mod attention_mean;
mod attention_mix;
mod bipartite;
mod broken;
mod ceiling;
mod connectivity;
mod convolve;
mod dominance;
mod fuse;
mod key_mean;
mod layer_norm;
mod linear;
mod linear_cooperative;
mod matrix_product;
mod newton_start;
mod pack;
mod patchify;
mod pool;
mod query_key;
#[path = "../support/require.rs"]
mod require;
mod required;
mod resample;
mod score;
mod similarity;
mod slips;
mod softmax;
mod texture;
mod token_max;
mod top_k;
mod trim;
mod uniqueness;
mod whole;

use std::sync::OnceLock;

use tcvit::low_level::doctor;
use tcvit::low_level::gpu::{Internals, Kernel, Operation, Recorder, Way, download, upload};
use tcvit::{Context, ContextOptions, Result};

/// Primes, and numbers just below, at and above powers of two and multiples of the workgroup sizes 64 and 128.
pub const AWKWARD: [usize; 12] = [65, 97, 127, 128, 129, 191, 193, 255, 256, 257, 383, 509];

/// Patch tokens of real networks, with and without the class token: images of 224, 384 and 518 pixels in patches of 16,
/// 16 and 14.
pub const REAL: [usize; 4] = [196, 197, 577, 1370];

/// One device for all tests of this binary.
pub fn gpu() -> &'static Context {
    static GPU: OnceLock<Context> = OnceLock::new();
    GPU.get_or_init(|| {
        require::check();
        Context::open(ContextOptions::new()).expect("a Vulkan, Metal or DX12 adapter (scripts/test installs Mesa's)")
    })
}

/// Asserts that `kernel` agrees with its reference at every size.
pub fn sweep<const D: usize>(kernel: &str, sizes: impl IntoIterator<Item = [usize; D]>) {
    let start = std::time::Instant::now();
    let mut count = 0;
    let mut nearest = (0.0, String::from("all exact"));
    for size in sizes {
        count += 1;
        let finding = doctor::check(gpu(), kernel, &size, count).unwrap();
        assert!(finding.passed(), "{kernel} at {}: {:?}", finding.size, finding.outcome);
        if let Ok(difference) = finding.outcome
            && difference.largest > nearest.0 * difference.tolerance
        {
            let text = format!("{:.1e} of {:.1e} at {}", difference.largest, difference.tolerance, finding.size);
            nearest = (difference.largest / difference.tolerance, text);
        }
    }
    assert!(count > 0, "an empty sweep proves nothing");
    println!("{kernel}: {count} sizes in {:.1?}, nearest to its tolerance: {}", start.elapsed(), nearest.1);
}

/// Calls [`sweep`] for every kernel of `operation` that this adapter can run.
pub fn sweep_ways<const D: usize>(operation: &str, sizes: impl IntoIterator<Item = [usize; D]> + Clone) {
    for check in doctor::checks().filter(|check| check.kernel.family() == operation) {
        match check.runs_on(gpu()) {
            true => sweep(check.kernel.name, sizes.clone()),
            false => skip(check.kernel, gpu()),
        }
    }
}

/// Every way that this adapter can run for `call`.
pub fn ways<O: Operation>(call: &O) -> Vec<&'static Way<O>> {
    let takes = |way: &&Way<O>| gpu().supports(way.kernel) && (way.takes)(gpu().traits(), call);
    let ways: Vec<_> = O::ways().iter().filter(takes).collect();
    assert!(!ways.is_empty(), "no way takes {call:?}");
    ways
}

/// Reports that the tests of `kernel` are skipped because `context` cannot run it.
pub fn skip(kernel: &Kernel, context: &Context) {
    let lacking = match kernel.features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
        true => "cooperative",
        false => "subgroups",
    };
    require::skipped(lacking, kernel.name, format_args!("{} cannot run it", context.describe()));
}

/// Reports every kernel that `context` cannot run, which the doctor therefore leaves out.
pub fn skip_what_cannot_run_on(context: &Context) {
    doctor::checks().filter(|check| !check.runs_on(context)).for_each(|check| skip(check.kernel, context));
}

/// A buffer that holds `data`.
pub fn buffer<T: bytemuck::Pod>(data: &[T]) -> wgpu::Buffer {
    upload(gpu(), "test", data).unwrap()
}

/// The first `len` elements of `buffer`.
pub fn read<T: bytemuck::Pod>(buffer: &wgpu::Buffer, len: usize) -> Vec<T> {
    download(gpu(), buffer, len).unwrap()
}

/// Records and runs what `record` records.
pub fn run(record: impl FnOnce(&mut Recorder<'_>) -> Result<()>) {
    let mut recorder = Recorder::new(gpu());
    record(&mut recorder).unwrap();
    recorder.finish().unwrap().submit(gpu()).unwrap();
}

/// The bits of floats, for comparisons that distinguish the two zeros, and compare NaN by its bits.
pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}
