//! Condensing by attention, as the presets `paper` and `literal` do it.

use tcvit::condensation::Chain;
use tcvit::gpu::{Types, Variant, upload};
use tcvit::kernels::assign::{Candidates, Rows};
use tcvit::kernels::attention_powers::Layout;
use tcvit::kernels::fuse::Fusion;
use tcvit::kernels::score::{Connectivity, Terms};
use tcvit::kernels::top_k::Listing;
use tcvit::kernels::{
    assign, attention, attention_connectivity, attention_powers, connectivity, dominance, fuse, matrix_product,
    newton_start, score, top_k,
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
    let way = Variant::preferred(&bench.gpu);
    let chain = Chain { order: 2, alpha: 500.0, newton_steps: None };

    bench.run("connectivity", tokens, DROPPED * patches * patches, |recorder| {
        let params = connectivity::Params::listed(patches, DROPPED, patches, patches - DROPPED, chain);
        let bindings = connectivity::Bindings { w: &w, list: &order, result: &rows };
        connectivity::record(recorder, params, 1, connectivity::Part::Rows, bindings)
    });
    bench.run("top_k", tokens, patches, |recorder| {
        let bindings = top_k::Bindings { score: &score, order: &order, slot: &slot };
        top_k::record(recorder, way, top_k::Params::new(patches, patches - DROPPED), 1, Listing::Ascending, bindings)
    });
    bench.run("assign", tokens, DROPPED * patches, |recorder| {
        let (rows, diagonal) = (Rows::Second((&w).into()), &made);
        let bindings =
            assign::Bindings { rows, order: &order, slot: &slot, assigned: &listed, connection: &score, diagonal };
        let params = assign::Params::new(patches, DROPPED, chain);
        assign::record(recorder, way, params, 1, Candidates::Any, true, bindings)
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
            fused_sizes: &fused_sizes,
            rows: &made,
        };
        fuse::record(recorder, params, Fusion::Size, bindings)
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
    // What attention emits for it, f32 here: powers, levels for every 32 keys, and two numbers for each row.
    let powers = bench.floats(HEADS * attention::Emission::powers_len(tokens));
    let levels = bench.floats(HEADS * tokens.div_ceil(32) * tokens);
    let softmax_rows = bench.floats(2 * HEADS * tokens);
    if Variant::Subgroup.available(&bench.gpu) {
        bench.run("attention_powers", tokens, HEADS * patches * patches, |recorder| {
            let params = attention_powers::Params::new(1, t, 1, h, Layout::packed(patches));
            let emission = attention::Emission { powers: (&powers).into(), levels: &levels };
            let (w, column_sums, dominance) = ((&own).into(), &sums, &mean);
            let bindings = attention_powers::Bindings { emission, rows: &softmax_rows, w, column_sums, dominance };
            attention_powers::record(recorder, Types::default(), params, bindings)
        });
    }
    bench.run("dominance", tokens, HEADS * patches, |recorder| {
        let params = dominance::Params { tokens: t, prefix: 1, heads: h, stride: s };
        dominance::record(recorder, params, 1, dominance::Bindings { probs: &probs, dominance: &mean })
    });
    bench.run("score", tokens, patches, |recorder| {
        let params = score::Params::new(patches, patches - DROPPED, 3.5, chain);
        let terms = Terms { normalise: true, connectivity: true, dominance: true };
        let connectivity = Connectivity::Second { column_sums: &sums, w: (&w).into() };
        let (dominance, score) = (&sizes, &mean);
        let bindings = score::Bindings { connectivity, dominance, score, order: &listed, slot: &slot_out };
        score::record(recorder, way, params, 1, terms, bindings)
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
