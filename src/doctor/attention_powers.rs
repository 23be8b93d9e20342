//! Check of `condense/attention_powers.wgsl`: W, the sums of its columns, and dominance, in both precisions.

use super::data::{ULP, UNSET, download_placed, rounding, stored, unset};
use super::emission::Shape;
use super::{Check, Difference, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Home, Placed, Precision, Types};
use crate::kernels::attention::Emission;
use crate::kernels::attention_connectivity::{STRIP, strips};
use crate::kernels::attention_powers::{Bindings, Layout, Params, record};
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
    let stride = Emission::powers_stride(tokens);
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
    let padded = Layout::padded(prefix, patches);
    let places = [(Layout::packed(patches), Home::Buffer), (padded, Home::Buffer), (padded, Home::Texture)];
    for (precision, (layout, home)) in Precision::ALL.into_iter().flat_map(|p| places.map(|place| (p, place))) {
        let params = Params::new(images as u32, tokens as u32, prefix as u32, heads as u32, layout);
        let powers = stored(numbers.clone(), precision);
        let unset_w = vec![UNSET; layout.elements(images * patches)];
        let w = Placed::upload(context, "w", &unset_w, layout.texels(patches, images), home)?;
        let sums = unset(context, "sums", layout.elements(images * strips(patches)))?;
        let made_dominance = unset(context, "dominance", images * patches)?;
        let placed_powers =
            Shape { sizes: [images, heads, tokens], precision, home }.upload(context, &powers, &rows)?;
        let bindings = Bindings {
            emission: Emission { powers: placed_powers.matrix(), levels: &levels_buffer },
            rows: &rows_buffer,
            w: w.matrix(),
            column_sums: &sums,
            dominance: &made_dominance,
        };
        execute(context, |recorder| record(recorder, Types::new(precision, precision), params, bindings))?;
        let probs = probabilities(&powers, &levels, &rows, &params);
        // Powers of numbers down to -4 at most: 3 + 2 |x| units, and what the exponent's own rounding makes of it.
        let tolerance = rounding(heads) + 15.0 * ULP;
        let (elements, texels) = (layout.elements(images * patches), layout.texels(patches, images));
        let got = download_placed(context, &w, elements, texels)?;
        worst = worst.worse(around(&got, patches, layout));
        let got = packed(&got, patches, layout);
        let twin = attention_connectivity(&probs, tokens, prefix, heads, stride);
        worst = worst.worse(Difference::of_rows(&got, &twin, patches, tolerance));
        if home == Home::Buffer {
            let got: Vec<f32> = download(context, &sums, layout.elements(images * strips(patches)))?;
            let got = packed(&got, patches, layout);
            let twin = column_sums(&twin, patches, STRIP);
            worst = worst.worse(Difference::of_floats(&got, &twin, tolerance + rounding(STRIP)));
        }
        let got: Vec<f32> = download(context, &made_dominance, images * patches)?;
        let twin = dominance(&probs, tokens, prefix, heads, stride);
        worst = worst.worse(Difference::of_floats(&got, &twin, tolerance));
    }
    Ok(worst)
}

/// Rows of a matrix without what lies around their columns.
fn packed(matrix: &[f32], patches: usize, layout: Layout) -> Vec<f32> {
    matrix
        .chunks_exact(layout.stride as usize)
        .flat_map(|row| &row[layout.shift as usize..][..patches])
        .copied()
        .collect()
}

/// What lies around the columns is zero: it is multiplied with what is there.
fn around(matrix: &[f32], patches: usize, layout: Layout) -> Difference {
    let columns = layout.shift as usize..layout.shift as usize + patches;
    let outside = |row: &[f32]| {
        let place = |(at, value): (usize, &f32)| (!columns.contains(&at)).then_some(*value);
        row.iter().enumerate().filter_map(place).collect::<Vec<f32>>()
    };
    let found: Vec<f32> = matrix.chunks_exact(layout.stride as usize).flat_map(outside).collect();
    match found.is_empty() {
        true => Difference::NONE,
        false => Difference::of_floats(&found, &vec![0.0; found.len()], 0.0),
    }
}
