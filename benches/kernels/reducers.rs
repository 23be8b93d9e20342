//! The kernels that condense by cosines (`training_free`, `tome`) and by the lowest score (`evit`), as far as they
//! differ from those that condense by attention.

use tcvit::low_level::gpu::{Types, upload};
use tcvit::low_level::kernels::similarity::Kind;
use tcvit::low_level::kernels::{assign_lowest, bipartite, key_mean, similarity, uniqueness};

use crate::{Bench, DROPPED, HEADS, WIDTH};

pub fn reducers(bench: &mut Bench<'_>, tokens: usize) {
    let patches = tokens - 1;
    let (n, r, width4) = (patches as u32, DROPPED as u32, (WIDTH / 4) as u32);
    let (qkv, x) = (bench.floats(tokens * WIDTH * 3), bench.floats(tokens * WIDTH));
    let (keys, square) = (bench.output(patches * WIDTH / HEADS), bench.output(patches * patches));
    let (cosine, dominance, sizes) = (bench.floats(patches * patches), bench.floats(patches), bench.floats(tokens));
    let (score, values) = (bench.output(patches), bench.floats(patches));
    let list: Vec<u32> = (0..n).collect();
    let order = upload(&bench.gpu, "order", &list).expect("a buffer");
    let [assigned, connection, diagonal] = [0; 3].map(|_| bench.output(DROPPED));

    let params = key_mean::Params {
        images: 1,
        tokens: n + 1,
        prefix: 1,
        heads: HEADS as u32,
        row4: 3 * width4,
        key_offset4: width4,
        head4: width4 / HEADS as u32,
    };
    let call = key_mean::Call { params, types: Types::default() };
    bench.run_first(call, tokens, patches * WIDTH, |recorder, way, call| {
        key_mean::record(recorder, way, call, key_mean::Bindings { qkv: &qkv, keys: &keys })
    });
    bench.run("similarity", tokens, patches * patches * WIDTH, |recorder| {
        let params = similarity::Params { prefix: 1, patches: n, width4 };
        similarity::record(recorder, params, 1, Kind::Dot, similarity::Bindings { x: &x, y: &square })
    });
    let params = uniqueness::Params { patches: n, prefix: 1, exponent: 0.0, size_exponent: 0.5 };
    bench.run_first(uniqueness::Call { params, images: 1 }, tokens, patches * patches, |recorder, way, call| {
        let bindings = uniqueness::Bindings { cosine: &cosine, dominance: &dominance, sizes: &sizes, score: &score };
        uniqueness::record(recorder, way, call, bindings)
    });
    bench.run("bipartite", tokens, patches * patches / 4, |recorder| {
        let params = bipartite::Params { images: 1, patches: n, first: 1 };
        bipartite::record(recorder, params, bipartite::Bindings { cosine: &cosine, score: &score })
    });
    bench.run("assign_lowest", tokens, patches, |recorder| {
        let bindings = assign_lowest::Bindings {
            score: &values,
            order: &order,
            assigned: &assigned,
            connection: &connection,
            diagonal: &diagonal,
        };
        assign_lowest::record(recorder, assign_lowest::Params { patches: n, dropped: r }, 1, bindings)
    });
}
