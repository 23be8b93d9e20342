//! Check of `block/attention.wgsl` and its variants, with logits that are peaked, with and without sizes, in both precisions.

use std::fmt;

use super::data::{ULP, UNIT, UNSET, download_as, rounding, stored, storing, unset, upload_as};
use super::emission::Shape;
use super::{Check, Difference, at_most, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Home, Placed, Precision, Types, Variant};
use crate::kernels::attention::{Bindings, Emission, Form, Params, WIDEST_HEAD, cooperative, record};
use crate::kernels::attention_mean::Params as MeanParams;
use crate::kernels::attention_powers::Layout;
use crate::kernels::attention_powers::Params as PowersParams;
use crate::random::Random;
use crate::reference::attention::attention;
use crate::reference::attention_connectivity::attention_connectivity;
use crate::reference::attention_mean::attention_mean;
use crate::reference::attention_powers::probabilities;

pub(super) const CHECK: Check = Check {
    kernel: "attention",
    dimensions: "images, tokens, heads, head",
    sizes: &[&[1, 1, 1, 4], &[2, 9, 3, 20], &[1, 65, 2, 128], &[1, 197, 3, 64]],
    compare: |context, size, seed| compare_all(context, Way::Of(Variant::Plain), size, seed),
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "attention_subgroup",
    compare: |context, size, seed| compare_all(context, Way::Of(Variant::Subgroup), size, seed),
    ..CHECK
};

/// In whole matrices, as many as fit.
pub(super) const COOPERATIVE: Check = Check {
    kernel: "attention_cooperative",
    compare: |context, size, seed| compare_all(context, Way::Cooperative, size, seed),
    ..CHECK
};

/// Which of attention's kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Of(Variant),
    Cooperative,
}

/// What a session uses of attention's kernels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) way: Way,
    pub(crate) types: Types,
    pub(crate) form: Form,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.way {
            Way::Of(variant) => format!("{variant:?}").to_lowercase(),
            Way::Cooperative => "cooperative".into(),
        };
        let said = |is: bool, word: &'static str| if is { word } else { "" };
        let texture = said(self.types.home == Home::Texture, " texture");
        let (biased, emitting) = (said(self.form.proportional, " biased"), said(self.form.emits, " emitting"));
        write!(f, "attention {way} {} {}{texture}{biased}{emitting}", self.types.input, self.types.output)
    }
}

impl Way {
    /// Dimensions of a head, about as many as asked for, that the kernels take on the device.
    pub(super) fn head(self, context: &Context, head: usize) -> usize {
        match self {
            Self::Of(_) => head.next_multiple_of(4),
            Self::Cooperative => {
                let side = context.cooperative_tile().unwrap_or_default().side() as usize;
                let wanted = head.next_multiple_of(side);
                let widest = (1..=8).rev().map(|matrices| matrices * side);
                widest.filter(|&head| head <= wanted).find(|&head| cooperative::takes(context, head)).unwrap_or(side)
            }
        }
    }

    /// What cooperative matrices add to an error: adders that may cut (as `linear.rs` has it) what is `terms` long.
    pub(super) fn cut(self, terms: usize) -> f64 {
        match self {
            Self::Of(_) => 0.0,
            Self::Cooperative => 3.0 * rounding(terms) + 8.0 * UNIT * (terms as f64 / 8.0),
        }
    }
}

/// Of logits, relative to the dot products of numbers between -1 and 1: what makes one key stand out.
pub(super) const PEAK: f32 = 4.0;

/// What rounding makes of a probability: of the dot product that is its exponent, which is about PEAK / 3, of a
/// logarithm of at most 9 (3 units in the last place by WGSL, of numbers below 4), and of exponentials of numbers down to
/// -8, below which they count for nothing (3 + 2 |x| units).
pub(super) fn of_probabilities(head: usize) -> f64 {
    rounding(head) * f64::from(PEAK) / 3.0 + 6.0 * ULP + 19.0 * ULP
}

/// How much longer the last token's keys are where logits are to differ by more than f16 has room for between powers: some
/// by more than 10 then.
const LATE: f32 = 8.0;

/// Attention of random queries, keys and values, and sizes [B, T].
pub(super) fn case(random: &mut Random, [images, tokens, heads, head]: [usize; 4]) -> (Params, Vec<f32>, Vec<f32>) {
    let width4 = (heads * head / 4) as u32;
    let params = Params {
        tokens: tokens as u32,
        heads: heads as u32,
        images: images as u32,
        row4: 3 * width4,
        key_offset4: width4,
        value_offset4: 2 * width4,
        head4: (head / 4) as u32,
        scale: PEAK / (head as f32).sqrt(),
    };
    let sizes = (0..images * tokens).map(|_| 1.0 + random.below(9) as f32).collect();
    (params, random.tensor(images * tokens * 3 * heads * head, 0.0, 1.0), sizes)
}

/// As many tokens as kernels with cooperative matrices load at once, of which only those that exist matter.
fn enough(qkv: &[f32], row: usize) -> Vec<f32> {
    let mut enough = qkv.to_vec();
    enough.resize(qkv.len().max(cooperative::MOST_ROWS * row), f32::NAN);
    enough
}

/// Every form.
fn compare_all(context: &Context, way: Way, size: &[usize], seed: u64) -> Result<Difference> {
    let [images, tokens, heads, head] = dimensions(size)?;
    let narrow = Types::new(Precision::F16, Precision::F16);
    let form = |proportional, emits| Form { proportional, emits };
    let mut forms = vec![(Types::default(), form(false, false)), (narrow, form(true, false))];
    if way == Way::Cooperative {
        forms = vec![(narrow, form(false, false)), (narrow, form(true, false))];
    }
    if way == Way::Of(Variant::Subgroup) {
        let both = [(Types::default(), form(true, true)), (narrow, form(false, true))];
        forms.extend(Home::ALL.into_iter().flat_map(|home| both.map(|(types, form)| (types.at(home), form))));
    }
    let mut worst = Difference::NONE;
    for (types, form) in forms {
        worst = worst.worse(Use { way, types, form }.compare(context, [images, tokens, heads, head], seed)?);
        // As in linear.rs: what is wrong is wrong.
        if !worst.passed() {
            break;
        }
    }
    Ok(worst)
}

impl Use {
    /// Kernel and twin for images, tokens, heads and about so many dimensions of a head.
    pub(crate) fn compare(self, context: &Context, size: [usize; 4], seed: u64) -> Result<Difference> {
        let usual = self.compare_with(context, size, seed, 1.0)?;
        match self.way {
            Way::Of(_) => Ok(usual),
            // Powers are of differences to the first keys' logits there, and made again where a later one is too large.
            Way::Cooperative => Ok(usual.worse(self.compare_with(context, size, seed, LATE)?)),
        }
    }

    /// The same with the last token's keys `late` times as long as the others.
    fn compare_with(
        self,
        context: &Context,
        [images, tokens, heads, head]: [usize; 4],
        seed: u64,
        late: f32,
    ) -> Result<Difference> {
        let Self { way, types, form: Form { proportional, emits } } = self;
        let head = way.head(context, head);
        at_most("dimensions of a head", head, WIDEST_HEAD)?;
        let mut random = Random::named("attention", seed);
        let (params, mut numbers, sizes) = case(&mut random, [images, tokens, heads, head]);
        let width = heads * head;
        for token in numbers.chunks_exact_mut(3 * width).skip(tokens - 1).step_by(tokens) {
            token[width..2 * width].iter_mut().for_each(|key| *key *= late);
        }
        let sizes_buffer = upload(context, "sizes", &sizes)?;
        let (elements, row_count) = (images * tokens * heads * head, images * heads * tokens);
        let qkv = stored(numbers, types.input);
        let y = unset(context, "y", types.output.words(elements))?;
        let rows = unset(context, "rows", 2 * row_count)?;
        let qkv_buffer = upload_as(context, "qkv", &enough(&qkv, 3 * width), types.input)?;
        let shape = Shape { sizes: [images, heads, tokens], precision: types.output, home: types.home };
        let (texels, levels_len) = match emits {
            true => (shape.texels(), images * heads * Emission::levels_len(tokens)),
            false => ([1; 3], Emission::UNUSED),
        };
        let words = texels.iter().product::<u32>() as usize * 4;
        let powers = Placed::upload(context, "powers", &vec![UNSET; words], texels, types.home)?;
        let levels = unset(context, "levels", levels_len)?;
        let emission = Emission { powers: powers.matrix(), levels: &levels };
        let bindings = Bindings { qkv: &qkv_buffer, sizes: &sizes_buffer, y: &y, rows: &rows, emission };
        execute(context, |recorder| match way {
            Way::Of(variant) => record(recorder, variant, types, params, self.form, bindings),
            Way::Cooperative => cooperative::record(recorder, types, params, proportional, bindings),
        })?;
        let got = download_as(context, &y, elements, types.output)?;
        let (got_powers, got_rows) = match emits {
            true => shape.download(context, &powers, &rows)?,
            false => (Vec::new(), download(context, &rows, 2 * row_count)?),
        };
        let (twin, twin_rows) = attention(&qkv, proportional.then_some(&sizes), &params);
        // The usual size of an evenly weighted mean of numbers between -1 and 1, which a single one may miss by far.
        let usual = 1.0 / (3.0 * tokens as f64).sqrt();
        // Powers are stored in f16 before they weigh values, and sum up as they are stored.
        let powers = if way == Way::Cooperative { storing(Precision::F16) + way.cut(tokens) } else { 0.0 };
        // Long keys' dot products have errors as much larger.
        let of_probabilities = f64::from(late) * (of_probabilities(head) + f64::from(PEAK) * way.cut(head));
        let tolerance = rounding(tokens) + of_probabilities + powers;
        let mut worst = Difference::of_floats_near(&got, &twin, usual, tolerance + storing(types.output));
        let column = |at: usize| -> (Vec<f32>, Vec<f32>) {
            (got_rows.iter().skip(at).step_by(2).copied().collect(), twin_rows.iter().map(|row| row[at]).collect())
        };
        let ((largest, largest_twin), (inverse, inverse_twin)) = (column(0), column(1));
        worst = worst.worse(Difference::of_floats_near(&largest, &largest_twin, 1.0, of_probabilities));
        worst = worst.worse(Difference::of_rows(&inverse, &inverse_twin, 1, tolerance));
        if emits {
            let levels: Vec<f32> = download(context, &levels, levels_len)?;
            let known = proportional.then_some(&sizes[..]);
            let tolerance = tolerance + storing(types.output);
            worst = worst.worse(emitted(&got_powers, &levels, &got_rows, (&params, &qkv, known), tolerance));
        }
        Ok(worst)
    }
}

/// The probabilities that can be made of what was emitted, means over heads, against those of `qkv`.
fn emitted(
    powers: &[f32],
    levels: &[f32],
    rows: &[f32],
    (params, qkv, sizes): (&Params, &[f32], Option<&[f32]>),
    tolerance: f64,
) -> Difference {
    let (tokens, heads) = (params.tokens as usize, params.heads as usize);
    let rows: Vec<[f32; 2]> = rows.chunks_exact(2).map(|row| [row[0], row[1]]).collect();
    let all = PowersParams::new(params.images, params.tokens, 0, params.heads, Layout::packed(params.tokens as usize));
    let probs = probabilities(powers, levels, &rows, &all);
    let got = attention_connectivity(&probs, tokens, 0, heads, Emission::powers_stride(tokens));
    let mean = MeanParams {
        tokens: params.tokens,
        prefix: 0,
        heads: params.heads,
        images: params.images,
        query: 0,
        queries: params.tokens,
        row4: params.row4,
        key_offset4: params.key_offset4,
        head4: params.head4,
        scale: params.scale,
    };
    let twin = attention_mean(qkv, sizes, &mean);
    Difference::of_rows(&got, &twin, tokens, tolerance)
}
