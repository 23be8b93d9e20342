//! Comparison of `condense/assign_lowest.wgsl`, on distinct scores and on scores with ties and NaN. Results are indices
//! and copied numbers, so there is no tolerance.

use super::data::{selection, unset};
use super::{Check, Difference, at_most, dimensions, download_async, execute, upload};
use crate::error::Result;
use crate::gpu::Context;
use crate::kernels::assign_lowest::{Bindings, KERNEL, Params, record};
use crate::random::Random;
use crate::reference::assign_lowest::assign_lowest;

pub(super) const CHECKS: &[Check] = &[Check {
    kernel: &KERNEL,
    dimensions: "images, patches, dropped",
    sizes: &[&[1, 2, 1], &[3, 7, 6], &[2, 196, 14], &[1, 257, 200]],
    compare: |context, size, seed| Box::pin(compare(context, size, seed)),
}];

async fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches, dropped] = dimensions(size)?;
    at_most("dropped", dropped, patches - 1)?;
    let mut random = Random::named("assign_lowest", seed);
    let (order, _) = selection(&mut random, images, patches, dropped);
    let order_buffer = upload(context, "order", &order)?;
    let distinct = random.tensor(images * patches, 0.5, 0.5);
    let tied = (0..images * patches)
        .map(|_| if random.below(9) == 0 { f32::NAN } else { random.below(4) as f32 - 1.0 })
        .collect();
    let params = Params { patches: patches as u32, dropped: dropped as u32 };
    let matches = images * dropped;
    let mut worst = Difference::NONE;
    for score in [distinct, tied] {
        let new = |name| unset(context, name, matches);
        let (assigned, connection, diagonal) = (new("assigned")?, new("connection")?, new("diagonal")?);
        let bindings = Bindings {
            score: &upload(context, "score", &score)?,
            order: &order_buffer,
            assigned: &assigned,
            connection: &connection,
            diagonal: &diagonal,
        };
        execute(context, |recorder| record(recorder, params, images as u32, bindings))?;
        let expected = assign_lowest(&score, &order, &params);
        worst = worst
            .worse(Difference::of_indices(&download_async::<u32>(context, &assigned, matches).await?, &expected.0));
        for (buffer, expected) in [(&connection, &expected.1), (&diagonal, &expected.2)] {
            let got: Vec<f32> = download_async(context, buffer, matches).await?;
            worst = worst.worse(Difference::of_floats(&got, expected, 0.0));
        }
    }
    Ok(worst)
}
