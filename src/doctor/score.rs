//! Check of `condense/score.wgsl`, with every combination of its terms, for a c that is positive (the power sum) and for
//! one of mixed signs (a Newton iteration that diverged).

use super::data::{dominance, rounding, unset};
use super::{Check, Difference, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::score::{Bindings, Params, Terms, record};
use crate::random::Random;
use crate::reference::score::score;

pub(super) const CHECK: Check =
    Check { kernel: "score", dimensions: "images, patches", sizes: &[&[1, 1], &[3, 7], &[2, 64], &[2, 196]], compare };

fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches] = dimensions(size)?;
    let elements = images * patches;
    let mut random = Random::named("score", seed);
    let dominance = dominance(&mut random, images, patches);
    let dominance_buffer = upload(context, "dominance", &dominance)?;
    let (beta, scale) = (3.5, 500.0);
    let params = Params { patches: patches as u32, beta, scale };
    let mut worst = Difference::NONE;
    for (offset, spread) in [(2e-3, 1.9e-3), (-3e8, 1e9)] {
        let c = random.tensor(elements, offset, spread);
        let c_buffer = upload(context, "connectivity", &c)?;
        for bits in 0..8 {
            let terms = Terms { normalise: bits & 1 > 0, connectivity: bits & 2 > 0, dominance: bits & 4 > 0 };
            let result = unset(context, "score", elements)?;
            let bindings = Bindings { connectivity: &c_buffer, dominance: &dominance_buffer, score: &result };
            execute(context, |recorder| record(recorder, params, images as u32, terms, bindings))?;
            let got: Vec<f32> = download(context, &result, elements)?;
            let twin = score(&c, &dominance, patches, beta, scale, terms);
            // -c and b D may nearly cancel; each is off by its own size.
            let larger = score(&c, &dominance, patches, beta, scale, Terms { dominance: false, ..terms });
            let larger = larger.iter().fold(0.0, |most, v| f64::max(most, f64::from(v.abs())));
            let tolerance = rounding(patches) * condition(&c, patches);
            worst = worst.worse(Difference::of_floats_near(&got, &twin, larger.max(1e-3), tolerance));
        }
    }
    Ok(worst)
}

/// How much larger the summed magnitudes of c are than its sum, in the worst image.
fn condition(c: &[f32], patches: usize) -> f64 {
    let of_image = |c: &[f32]| {
        let sum = |f: fn(f64) -> f64| c.iter().map(|&v| f(f64::from(v))).sum::<f64>();
        sum(f64::abs) / sum(|v| v).abs()
    };
    c.chunks_exact(patches).map(of_image).fold(1.0, f64::max)
}
