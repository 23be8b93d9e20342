//! Times whole forwards, full and condensed: `cargo bench --bench forward`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tcvit::{Condensation, Context, ContextOptions, Model, SessionOptions, VitConfig};

fn forward(criterion: &mut Criterion) {
    let gpu = Context::open(ContextOptions::new()).expect("an adapter");
    let small = VitConfig::new(32, 4, 128, 8, 2, 10);
    let tiny = VitConfig::preset("deit_tiny").expect("a preset");
    for (name, config, drop, batch) in [("vit_cifar10_32", small, 5, 8), ("deit_tiny", tiny, 14, 1)] {
        let model = Model::random(&gpu, &config, 1).expect("a model");
        let pixels = tcvit::low_level::random::Random::named("pixels", 1).tensor(batch * config.pixels(), 0.0, 1.5);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(batch as u64)).sample_size(10);
        for (label, condensation) in [
            ("full", None),
            ("paper", Some(Condensation::paper().drop_per_block(drop))),
            ("training_free", Some(Condensation::training_free().drop_per_block(drop))),
        ] {
            let options = SessionOptions::new().batch(batch).condensation(condensation);
            let session = model.session(options).expect("a session");
            group.bench_function(BenchmarkId::new(label, batch), |bencher| {
                bencher.iter(|| session.logits(&pixels).expect("logits"));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, forward);
criterion_main!(benches);
