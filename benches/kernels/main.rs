//! Times each kernel alone, for several numbers of tokens, in the shapes of DeiT-Tiny: `cargo bench --bench kernels`. A
//! run is one submission of one dispatch, and the wait for it. Labels give the operation, then the tokens. An operation
//! runs in the way that ranks first on the adapter. If every way is timed, the way's name follows the operation's.

mod block;
mod condense;
mod ends;
mod reducers;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tcvit::low_level::gpu::{Context, ContextOptions, Internals, Operation, Recorder, Way, empty, upload};
use tcvit::low_level::random::Random;
use tcvit::low_level::ways::ranked;

const WIDTH: usize = 192;
const HEADS: usize = 3;
const DROPPED: usize = 14;
const TOKENS: [usize; 3] = [64, 128, 197];

pub struct Bench<'a> {
    criterion: &'a mut Criterion,
    gpu: Context,
}

impl Bench<'_> {
    fn floats(&self, len: usize) -> wgpu::Buffer {
        let values = Random::named("bench", 1).tensor(len, 0.5, 0.5);
        upload(&self.gpu, "bench", &values).expect("a buffer")
    }

    fn output(&self, len: usize) -> wgpu::Buffer {
        empty(&self.gpu, "bench", len).expect("a buffer")
    }

    /// Times what `record` records. `work` gives the throughput: the multiply-adds of the kernel, or its elements if it
    /// has none.
    fn run(
        &mut self,
        kernel: &str,
        tokens: usize,
        work: usize,
        record: impl FnOnce(&mut Recorder<'_>) -> tcvit::Result<()>,
    ) {
        let mut recorder = Recorder::new(&self.gpu);
        record(&mut recorder).expect("a recording");
        let recording = recorder.finish().expect("a recording");
        let mut group = self.criterion.benchmark_group(kernel);
        group.throughput(Throughput::Elements(work as u64));
        group.bench_function(BenchmarkId::from_parameter(tokens), |bencher| {
            bencher.iter(|| {
                recording.submit(&self.gpu).expect("a submission");
                self.gpu.wait("bench").expect("a result");
            });
        });
        group.finish();
    }

    /// Times `call` in the way that ranks first on the adapter.
    fn run_first<O: Operation>(
        &mut self,
        call: O,
        tokens: usize,
        work: usize,
        record: impl FnOnce(&mut Recorder<'_>, &'static Way<O>, O) -> tcvit::Result<()>,
    ) {
        let &(_, way) = ranked(&self.gpu, &call).first().expect("a way that this adapter can run");
        self.run(O::NAME, tokens, work, |recorder| record(recorder, way, call));
    }

    /// Times `call` in the way that ranks first on the adapter, then in every way that the adapter can run.
    fn run_every<O: Operation>(
        &mut self,
        call: O,
        tokens: usize,
        work: usize,
        record: impl Fn(&mut Recorder<'_>, &'static Way<O>, O) -> tcvit::Result<()>,
    ) {
        self.run_first(call.clone(), tokens, work, &record);
        for way in self.ways(&call) {
            let call = call.clone();
            self.run(&format!("{} {}", O::NAME, way.name), tokens, work, |recorder| record(recorder, way, call));
        }
    }

    /// Every way that the adapter can run for `call`, including ways that are too slow there to be chosen.
    fn ways<O: Operation>(&self, call: &O) -> Vec<&'static Way<O>> {
        let takes = |way: &&Way<O>| self.gpu.supports(way.kernel) && (way.takes)(self.gpu.traits(), call);
        O::ways().iter().filter(takes).collect()
    }
}

fn kernels(criterion: &mut Criterion) {
    let gpu = Context::open(ContextOptions::new()).expect("an adapter");
    let mut bench = Bench { criterion, gpu };
    for tokens in TOKENS {
        ends::ends(&mut bench, tokens);
        block::block(&mut bench, tokens);
        condense::condense(&mut bench, tokens);
        reducers::reducers(&mut bench, tokens);
    }
    ends::stem(&mut bench);
    ends::texture(&mut bench);
}

criterion_group!(benches, kernels);
criterion_main!(benches);
