//! Check of `condense/uniqueness.wgsl`, with equal dominances, for several g and h.

use super::data::{ULP, dominance, unset};
use super::{Check, Difference, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::uniqueness::{Bindings, Params, record};
use crate::random::Random;
use crate::reference::uniqueness::uniqueness;

pub(super) const CHECK: Check = Check {
    kernel: "uniqueness",
    dimensions: "images, patches",
    sizes: &[&[1, 1], &[3, 7], &[2, 64], &[1, 196]],
    compare,
};

fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches] = dimensions(size)?;
    let mut random = Random::named("uniqueness", seed);
    let mut cosine = random.tensor(images * patches * patches, 0.0, 1.0);
    for matrix in cosine.chunks_exact_mut(patches * patches) {
        for row in 0..patches {
            matrix[row * patches + row] = 1.0;
            for column in 0..row {
                matrix[row * patches + column] = matrix[column * patches + row];
            }
        }
    }
    let dominance = dominance(&mut random, images, patches);
    let cosine_buffer = upload(context, "cosine", &cosine)?;
    let dominance_buffer = upload(context, "dominance", &dominance)?;
    let prefix = 1 + patches % 3;
    let sizes: Vec<f32> = (0..images * (prefix + patches)).map(|_| 1.0 + random.below(9) as f32).collect();
    let sizes_buffer = upload(context, "sizes", &sizes)?;
    let mut worst = Difference::NONE;
    for (exponent, size_exponent) in [(0.0, 0.5), (0.5, 0.0), (1.0, 1.0)] {
        let score = unset(context, "score", images * patches)?;
        let params = Params { patches: patches as u32, prefix: prefix as u32, exponent, size_exponent };
        let bindings =
            Bindings { cosine: &cosine_buffer, dominance: &dominance_buffer, sizes: &sizes_buffer, score: &score };
        execute(context, |recorder| record(recorder, params, images as u32, bindings))?;
        let got: Vec<f32> = download(context, &score, images * patches)?;
        let twin = uniqueness(&cosine, &dominance, &sizes, &params);
        // WGSL's pow is exp2(g log2 D): 3 units in the last place of log2, which is between 8 and 16 for the largest D
        // of thousands of tokens, times g ln 2, and 3 + 2 |x| more of exp2. The same of sizes up to 9, whose logarithms are
        // below 4. A subtraction and two products are the rest.
        let power = if exponent == 0.0 { 0.0 } else { 3.0 + f64::from(exponent) * (3.0 * 8.0 * 0.7 + 2.0 * 12.0) };
        let of_size = 3.0 + f64::from(size_exponent) * (3.0 * 4.0 * 0.7 + 2.0 * 4.0);
        worst = worst.worse(Difference::of_floats(&got, &twin, ULP * (3.0 + power + of_size)));
    }
    Ok(worst)
}
