//! Comparison of `condense/uniqueness.wgsl` and its ways, with some equal dominances, for several g and h.

use super::data::{ULP, dominance, unset};
use super::{Check, Difference, compare_ways, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Traits, Way};
use crate::kernels::uniqueness::{Bindings, Call, KERNEL, Params, record};
use crate::random::Random;
use crate::reference::uniqueness::uniqueness;
use crate::ways::Verified;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "images, patches",
    sizes: &[&[1, 1], &[3, 7], &[2, 64], &[1, 196]],
    compare: |context, size, seed| Box::pin(async move { compare_ways(context, &KERNEL, &calls(size)?, seed).await }),
}];

/// Calls of one size with several exponents.
fn calls(size: &[usize]) -> Result<Vec<Call>> {
    let [images, patches] = dimensions(size)?.map(|n| n as u32);
    let call = |(exponent, size_exponent)| Call {
        params: Params { patches, prefix: 1 + patches % 3, exponent, size_exponent },
        images,
    };
    Ok([(0.0, 0.5), (0.5, 0.0), (1.0, 1.0)].map(call).to_vec())
}

impl Verified for Call {
    fn samples(&self, _traits: &Traits) -> Vec<Self> {
        let sample = |(images, patches)| Self { params: Params { patches, ..self.params }, images };
        [(1, 1), (3, 7), (2, 64), (1, 196)].map(sample).to_vec()
    }

    async fn compare(&self, context: &Context, way: &'static Way<Self>, seed: u64) -> Result<Difference> {
        let Params { patches, prefix, exponent, size_exponent } = self.params;
        let [images, patches, prefix] = [self.images, patches, prefix].map(|n| n as usize);
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
        let sizes: Vec<f32> = (0..images * (prefix + patches)).map(|_| 1.0 + random.below(9) as f32).collect();
        let score = unset(context, "score", images * patches)?;
        let bindings = Bindings {
            cosine: &upload(context, "cosine", &cosine)?,
            dominance: &upload(context, "dominance", &dominance)?,
            sizes: &upload(context, "sizes", &sizes)?,
            score: &score,
        };
        execute(context, |recorder| record(recorder, way, *self, bindings))?;
        let got: Vec<f32> = download_async(context, &score, images * patches).await?;
        let expected = uniqueness(&cosine, &dominance, &sizes, &self.params);
        // WGSL's pow is exp2(g log2 D). log2 has an error of 3 units in the last place; it is between 8 and 16 for the
        // largest D of thousands of tokens, and its error counts times g ln 2. exp2 adds 3 + 2 |x| units. The same
        // holds for sizes up to 9, whose logarithms are below 4. A subtraction and two products are the rest.
        let power = if exponent == 0.0 { 0.0 } else { 3.0 + f64::from(exponent) * (3.0 * 8.0 * 0.7 + 2.0 * 12.0) };
        let of_size = 3.0 + f64::from(size_exponent) * (3.0 * 4.0 * 0.7 + 2.0 * 4.0);
        Ok(Difference::of_floats(&got, &expected, ULP * (3.0 + power + of_size)))
    }
}
