//! The kernels that condense by attention, as the presets `paper` and `literal` do.

use tcvit::condensation::Chain;
use tcvit::low_level::gpu::upload;
use tcvit::low_level::kernels::assign::{Candidates, Rows};
use tcvit::low_level::kernels::fuse::Fusion;
use tcvit::low_level::kernels::score::{Connectivity, Terms};
use tcvit::low_level::kernels::top_k::Listing;
use tcvit::low_level::kernels::{
    assign, attention_connectivity, connectivity, dominance, fuse, matrix_product, newton_start, score, top_k,
};

use crate::{Bench, DROPPED, HEADS, WIDTH};

pub fn condense(bench: &mut Bench<'_>, tokens: usize) {
    let patches = tokens - 1;
    let w = bench.floats(patches * patches);
    let (score, sizes, x) = (bench.floats(patches), bench.floats(tokens), bench.floats(tokens * WIDTH));
    let list: Vec<u32> = (0..patches as u32).collect();
    let order = upload(&bench.gpu, "order", &list).expect("a buffer");
    let slot = upload(&bench.gpu, "slot", &list).expect("a buffer");
    let (rows, listed, slot_out) = (bench.output(DROPPED * patches), bench.output(patches), bench.output(patches));
    let fused_sizes = bench.output(tokens);
    let (n, r, made) = (patches as u32, DROPPED as u32, bench.output(patches));
    let chain = Chain { order: 2, alpha: 500.0, newton_steps: None };

    bench.run("connectivity", tokens, DROPPED * patches * patches, |recorder| {
        let params = connectivity::Params::listed(patches, DROPPED, patches, patches - DROPPED, chain);
        let bindings = connectivity::Bindings { w: &w, list: &order, result: &rows };
        connectivity::record(recorder, params, 1, connectivity::Part::Rows, bindings)
    });
    let params = top_k::Params::new(patches, patches - DROPPED);
    let call = top_k::Call { params, images: 1, listing: Listing::Ascending };
    bench.run_first(call, tokens, patches, |recorder, way, call| {
        top_k::record(recorder, way, call, top_k::Bindings { score: &score, order: &order, slot: &slot })
    });
    let params = assign::Params::new(patches, DROPPED, chain);
    let call = assign::Call { params, images: 1, candidates: Candidates::Any, diagonal: true, order: 2 };
    bench.run_first(call, tokens, DROPPED * patches, |recorder, way, call| {
        let (rows, diagonal) = (Rows::Second(&w), &made);
        let bindings =
            assign::Bindings { rows, order: &order, slot: &slot, assigned: &listed, connection: &score, diagonal };
        assign::record(recorder, way, call, bindings)
    });
    let params = fuse::Params { images: 1, prefix: 1, patches: n, dropped: r, width4: (WIDTH / 4) as u32 };
    let call = fuse::Call { params, fusion: Fusion::Size };
    bench.run_first(call, tokens, tokens * WIDTH, |recorder, way, call| {
        let bindings = fuse::Bindings {
            tokens: &x,
            sizes: &sizes,
            order: &order,
            assigned: &listed,
            connection: &score,
            diagonal: &score,
            fused_sizes: &fused_sizes,
            rows: &made,
        };
        fuse::record(recorder, way, call, bindings)
    });

    let stride = tokens.next_multiple_of(4);
    let probs = bench.floats(HEADS * tokens * stride);
    let (own, mean, other) = (bench.output(patches * patches), bench.output(patches), bench.output(patches * patches));
    let (t, h, s) = (tokens as u32, HEADS as u32, stride as u32);
    let sums = bench.floats(attention_connectivity::strips(patches) * patches);
    bench.run("attention_connectivity", tokens, HEADS * patches * patches, |recorder| {
        let params = attention_connectivity::Params { tokens: t, prefix: 1, heads: h, stride4: s / 4 };
        let bindings =
            attention_connectivity::Bindings { probs: &probs, w: &own, column_sums: &sums, dominance: &mean };
        attention_connectivity::record(recorder, params, 1, bindings)
    });
    bench.run("dominance", tokens, HEADS * patches, |recorder| {
        let params = dominance::Params { tokens: t, prefix: 1, heads: h, stride: s };
        dominance::record(recorder, params, 1, dominance::Bindings { probs: &probs, dominance: &mean })
    });
    let params = score::Params::new(patches, patches - DROPPED, 3.5, chain);
    let terms = Terms { normalise: true, connectivity: true, dominance: true };
    let call = score::Call { params, images: 1, terms, order: 2 };
    bench.run_first(call, tokens, patches, |recorder, way, call| {
        let connectivity = Connectivity::Second { column_sums: &sums, w: &w };
        let (dominance, score) = (&sizes, &mean);
        let bindings = score::Bindings { connectivity, dominance, score, order: &listed, slot: &slot_out };
        score::record(recorder, way, call, bindings)
    });
    bench.run("newton_start", tokens, patches * patches, |recorder| {
        let params = newton_start::Params { images: 1, patches: n, alpha: 500.0 };
        newton_start::record(recorder, params, newton_start::Bindings { w: &w, a: &own, start: &other })
    });
    bench.run("matrix_product", tokens, patches * patches * patches, |recorder| {
        let params = matrix_product::Params { patches: n, product: 1.0, addend: 0.0, identity: 0.0 };
        let bindings = matrix_product::Bindings { x: &w, z: &w, addend: &w, y: &own };
        matrix_product::record(recorder, params, 1, bindings)
    });
}
