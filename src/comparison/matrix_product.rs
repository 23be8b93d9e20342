//! Comparison of `condense/matrix_product.wgsl`, with all its terms and with each term off.

use super::data::{rounding, unset};
use super::{Check, Difference, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::matrix_product::{Bindings, KERNEL, Params, record};
use crate::random::Random;
use crate::reference::matrix_product::matrix_product;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "images, patches",
    sizes: &[&[1, 1], &[3, 7], &[2, 64], &[1, 131]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches] = dimensions(size)?;
    let elements = images * patches * patches;
    let mut random = Random::named("matrix_product", seed);
    let [x, z, a] = [(); 3].map(|()| random.tensor(elements, 0.0, 1.0));
    let (x_buffer, z_buffer) = (upload(context, "x", &x)?, upload(context, "z", &z)?);
    let a_buffer = upload(context, "addend", &a)?;
    let mut worst = Difference::NONE;
    for factors in [[1.5, -0.75, 2.5], [1.0, 0.0, 0.0], [0.0, 1.5, -1.0], [-1.0, 1.0, 0.0]] {
        let y = unset(context, "y", elements)?;
        let [product, addend, identity] = factors;
        let params = Params { patches: patches as u32, product, addend, identity };
        let bindings = Bindings { x: &x_buffer, z: &z_buffer, addend: &a_buffer, y: &y };
        execute(context, |recorder| record(recorder, params, images as u32, bindings))?;
        let got: Vec<f32> = download_async(context, &y, elements).await?;
        let expected = matrix_product(&x, &z, &a, patches, factors);
        // The usual size of a sum of products of numbers between -1 and 1. A single sum may be far from it.
        let usual = (patches as f64).sqrt() / 3.0;
        worst = worst.worse(Difference::of_floats_near(&got, &expected, usual, rounding(patches)));
    }
    Ok(worst)
}
