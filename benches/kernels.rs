//! Kernels alone, by token count, in DeiT-Tiny's shapes: `cargo bench --bench kernels`. A run is one submission of one
//! dispatch and the wait for it.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tcvit::condensation::Chain;
use tcvit::gpu::{Context, Precision, Recorder, Types, Variant, empty, upload};
use tcvit::kernels::assign::Candidates;
use tcvit::kernels::fuse::Fusion;
use tcvit::kernels::linear::Epilogue;
use tcvit::kernels::query_key::Products;
use tcvit::kernels::top_k::Listing;
use tcvit::kernels::*;
use tcvit::random::Random;

const WIDTH: usize = 192;
const HEADS: usize = 3;
const DROPPED: usize = 14;
const TOKENS: [usize; 3] = [64, 128, 197];

struct Bench<'a> {
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

    /// Times what `record` records; `macs` multiply-adds give the throughput.
    fn run(
        &mut self,
        kernel: &str,
        tokens: usize,
        macs: usize,
        record: impl FnOnce(&mut Recorder<'_>) -> tcvit::Result<()>,
    ) {
        let mut recorder = Recorder::new(&self.gpu);
        record(&mut recorder).expect("a recording");
        let recording = recorder.finish().expect("a recording");
        let mut group = self.criterion.benchmark_group(kernel);
        group.throughput(Throughput::Elements(macs as u64));
        group.bench_function(BenchmarkId::from_parameter(tokens), |bencher| {
            bencher.iter(|| {
                recording.submit(&self.gpu).expect("a submission");
                self.gpu.wait("bench").expect("a result");
            });
        });
        group.finish();
    }
}

fn block(bench: &mut Bench<'_>, tokens: usize) {
    let stride = tokens.next_multiple_of(4);
    let (x, qkv) = (bench.floats(tokens * WIDTH), bench.floats(tokens * WIDTH * 3));
    let (weight, bias) = (bench.floats(WIDTH * WIDTH * 3), bench.floats(WIDTH * 3));
    let (y, probs) = (bench.output(tokens * WIDTH * 3), bench.floats(HEADS * tokens * stride));
    let sizes = bench.floats(tokens);
    let variant = Variant::preferred(&bench.gpu);
    let (t, h, s) = (tokens as u32, HEADS as u32, stride as u32);
    let (width4, head4) = ((WIDTH / 4) as u32, (WIDTH / HEADS / 4) as u32);

    let types = Types::default();
    let product = linear::Params::new(tokens, WIDTH, WIDTH * 3);
    let chosen = tcvit::tune::variant(&bench.gpu, types, &product);
    let each = linear::Variant::all(&bench.gpu, types)
        .into_iter()
        .map(|variant| (variant, format!("linear {}", variant.name())));
    for (variant, label) in std::iter::once((chosen, "linear".to_owned())).chain(each) {
        bench.run(&label, tokens, tokens * WIDTH * WIDTH * 3, |recorder| {
            let bindings = linear::Bindings { x: &x, w: &weight, bias: &bias, y: &y };
            linear::record(recorder, variant, types, product, Epilogue::Store, bindings)
        });
    }
    bench.run("layer_norm", tokens, tokens * WIDTH, |recorder| {
        let params = layer_norm::Params { rows: t, width4, epsilon: 1e-6 };
        layer_norm::record(
            recorder,
            Precision::F32,
            params,
            layer_norm::Bindings { x: &x, weight: &bias, bias: &bias, y: &y },
        )
    });
    bench.run("query_key", tokens, tokens * tokens * WIDTH, |recorder| {
        let params = query_key::Params {
            tokens: t,
            heads: h,
            row4: 3 * width4,
            key_offset4: width4,
            head4,
            stride: s,
            scale: 0.125,
        };
        let bindings = query_key::Bindings { x: &qkv, sizes: &sizes, y: &probs };
        query_key::record(recorder, variant, Types::default(), params, 1, Products::Logits, bindings)
    });
    bench.run("softmax", tokens, HEADS * tokens * tokens, |recorder| {
        let params = softmax::Params { rows: h * t, columns: t, stride: s, scale: 1.0 };
        softmax::record(recorder, variant, params, softmax::Bindings { x: &probs })
    });
    bench.run("attention_mix", tokens, tokens * tokens * WIDTH, |recorder| {
        let params = attention_mix::Params {
            tokens: t,
            heads: h,
            stride4: s / 4,
            row4: 3 * width4,
            value_offset4: 2 * width4,
            head4,
        };
        let bindings = attention_mix::Bindings { probs: &probs, qkv: &qkv, y: &y };
        attention_mix::record(recorder, variant, Types::default(), params, 1, bindings)
    });
    let rows = bench.output(HEADS * tokens * 2);
    bench.run("attention", tokens, 2 * tokens * tokens * WIDTH, |recorder| {
        let params = attention::Params {
            tokens: t,
            heads: h,
            images: 1,
            row4: 3 * width4,
            key_offset4: width4,
            value_offset4: 2 * width4,
            head4,
            scale: 0.125,
        };
        let bindings = attention::Bindings { qkv: &qkv, sizes: &sizes, y: &y, rows: &rows };
        attention::record(recorder, variant, Types::default(), params, false, bindings)
    });
}

/// LV-ViT's second convolution, and its head's maximum over `TOKENS` tokens.
fn lvvit(bench: &mut Bench<'_>) {
    let (channels, side, classes) = (64, 112, 1000);
    let window = convolve::Window { kernel: 3, stride: 1, padding: 1 };
    let (x, y) = (bench.floats(channels * side * side), bench.output(channels * side * side));
    let (w, bias) = (bench.floats(channels * channels * 9), bench.floats(channels));
    bench.run("convolve", side * side, side * side * channels * channels * 9, |recorder| {
        let params = convolve::Params::new(1, [channels, channels], side, window);
        convolve::record(recorder, params, true, convolve::Bindings { x: &x, w: &w, bias: &bias, y: &y })
    });
    for tokens in TOKENS {
        let (x, y) = (bench.floats(tokens * classes), bench.output(classes));
        bench.run("token_max", tokens, tokens * classes, |recorder| {
            let params =
                token_max::Params { images: 1, tokens: tokens as u32, prefix: 1, classes: classes as u32, share: 0.5 };
            token_max::record(recorder, params, token_max::Bindings { x: &x, y: &y })
        });
    }
}

fn condense(bench: &mut Bench<'_>, tokens: usize) {
    let patches = tokens - 1;
    let w = bench.floats(patches * patches);
    let (score, sizes, x) = (bench.floats(patches), bench.floats(tokens), bench.floats(tokens * WIDTH));
    let list: Vec<u32> = (0..patches as u32).collect();
    let order = upload(&bench.gpu, "order", &list).expect("a buffer");
    let slot = upload(&bench.gpu, "slot", &list).expect("a buffer");
    let (rows, listed) = (bench.output(DROPPED * patches), bench.output(patches));
    let (fused, fused_sizes) = (bench.output(tokens * WIDTH), bench.output(tokens));
    let (n, r) = (patches as u32, DROPPED as u32);
    let chain = Chain { order: 2, alpha: 500.0, newton_steps: None };

    bench.run("connectivity", tokens, DROPPED * patches * patches, |recorder| {
        let params = connectivity::Params::listed(patches, DROPPED, patches, patches - DROPPED, chain);
        let bindings = connectivity::Bindings { w: &w, list: &order, result: &rows };
        connectivity::record(recorder, params, 1, connectivity::Part::Rows, bindings)
    });
    bench.run("top_k", tokens, patches, |recorder| {
        let bindings = top_k::Bindings { score: &score, order: &order, slot: &slot };
        top_k::record(recorder, top_k::Params::new(patches, patches - DROPPED), 1, Listing::Ascending, bindings)
    });
    bench.run("assign", tokens, DROPPED * patches, |recorder| {
        let bindings = assign::Bindings { rows: &rows, slot: &slot, assigned: &listed, connection: &score };
        assign::record(recorder, assign::Params { patches: n, dropped: r }, 1, Candidates::Any, bindings)
    });
    bench.run("fuse", tokens, tokens * WIDTH, |recorder| {
        let params = fuse::Params { images: 1, prefix: 1, patches: n, dropped: r, width4: (WIDTH / 4) as u32 };
        let bindings = fuse::Bindings {
            tokens: &x,
            sizes: &sizes,
            order: &order,
            assigned: &listed,
            connection: &score,
            diagonal: &score,
            fused: &fused,
            fused_sizes: &fused_sizes,
        };
        fuse::record(recorder, params, Fusion::Size, bindings)
    });
}

fn kernels(criterion: &mut Criterion) {
    let gpu = Context::blocking().expect("an adapter");
    let mut bench = Bench { criterion, gpu };
    for tokens in TOKENS {
        block(&mut bench, tokens);
        condense(&mut bench, tokens);
    }
    lvvit(&mut bench);
}

criterion_group!(benches, kernels);
criterion_main!(benches);
