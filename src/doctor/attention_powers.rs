//! Check of `condense/attention_powers.wgsl`: W, the sums of its columns, and dominance, in both precisions.

use super::data::{ULP, rounding, stored, unset, upload_as};
use super::{Check, Difference, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Precision, Types};
use crate::kernels::attention::Emission;
use crate::kernels::attention_connectivity::{STRIP, strips};
use crate::kernels::attention_powers::{Bindings, Params, record};
use crate::random::Random;
use crate::reference::attention_connectivity::{attention_connectivity, column_sums};
use crate::reference::attention_powers::probabilities;
use crate::reference::dominance::dominance;

pub(super) const CHECK: Check = Check {
    kernel: "attention_powers",
    dimensions: "images, patches, prefix, heads",
    sizes: &[&[1, 1, 1, 1], &[3, 7, 2, 3], &[1, 64, 5, 12], &[1, 196, 1, 3]],
    compare,
};

fn compare(context: &Context, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, patches, prefix, heads] = dimensions(size)?;
    let tokens = prefix + patches;
    let stride = tokens.next_multiple_of(4);
    let params = Params { tokens: tokens as u32, prefix: prefix as u32, heads: heads as u32, images: images as u32 };
    let mut random = Random::named("attention_powers", seed);
    let each = images * heads;
    let numbers: Vec<f32> = (0..each * tokens * stride).map(|_| random.unit() as f32).collect();
    // Levels rise along a row, chunk by chunk, and end at the row's largest logit.
    let mut levels = random.tensor(each * Emission::levels_len(tokens), 0.0, 2.0);
    let mut rows = Vec::with_capacity(each * tokens);
    for head in levels.chunks_exact_mut(Emission::levels_len(tokens)) {
        for at in tokens..head.len() {
            head[at] = head[at].max(head[at - tokens]);
        }
        rows.extend(
            head[head.len() - tokens..].iter().map(|&largest| [largest, (random.unit() / tokens as f64) as f32]),
        );
    }
    let levels_buffer = upload(context, "levels", &levels)?;
    let rows_buffer = upload(context, "rows", &rows)?;
    let mut worst = Difference::NONE;
    for precision in [Precision::F32, Precision::F16] {
        let powers = stored(numbers.clone(), precision);
        let w = unset(context, "w", images * patches * patches)?;
        let sums = unset(context, "sums", images * strips(patches) * patches)?;
        let made_dominance = unset(context, "dominance", images * patches)?;
        let powers_buffer = upload_as(context, "powers", &powers, precision)?;
        let bindings = Bindings {
            emission: Emission { powers: &powers_buffer, levels: &levels_buffer },
            rows: &rows_buffer,
            w: &w,
            column_sums: &sums,
            dominance: &made_dominance,
        };
        execute(context, |recorder| record(recorder, Types::new(precision, precision), params, bindings))?;
        let probs = probabilities(&powers, &levels, &rows, &params);
        // Powers of numbers down to -4 at most: 3 + 2 |x| units, and what the exponent's own rounding makes of it.
        let tolerance = rounding(heads) + 15.0 * ULP;
        let got: Vec<f32> = download(context, &w, images * patches * patches)?;
        let twin = attention_connectivity(&probs, tokens, prefix, heads, stride);
        worst = worst.worse(Difference::of_rows(&got, &twin, patches, tolerance));
        let got: Vec<f32> = download(context, &sums, images * strips(patches) * patches)?;
        let twin = column_sums(&twin, patches, STRIP);
        worst = worst.worse(Difference::of_floats(&got, &twin, tolerance + rounding(STRIP)));
        let got: Vec<f32> = download(context, &made_dominance, images * patches)?;
        let twin = dominance(&probs, tokens, prefix, heads, stride);
        worst = worst.worse(Difference::of_floats(&got, &twin, tolerance));
    }
    Ok(worst)
}
