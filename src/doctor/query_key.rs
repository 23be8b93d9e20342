//! Check of `block/query_key.wgsl`: the logits of attention with and without sizes, and cosines of unit keys, where
//! queries and keys are the same elements.

use std::fmt;

use super::data::{ULP, UNIT, place, rounding, stored, unset, upload_as};
use super::{Check, Difference, dimensions, download, execute, upload};
use crate::error::Result;
use crate::gpu::{Context, Home, Precision, Types, Variant};
use crate::kernels::linear::cooperative::tile;
use crate::kernels::query_key::{Bindings, Params, Products, cooperative, record};
use crate::random::Random;
use crate::reference::query_key::query_key;

pub(super) const CHECK: Check = Check {
    kernel: "query_key",
    dimensions: "images, tokens, heads, head",
    sizes: &[&[1, 1, 1, 4], &[2, 7, 3, 20], &[1, 65, 2, 64], &[1, 197, 3, 64]],
    compare: |context, size, seed| compare_all(context, Variant::Plain, dimensions(size)?, seed),
};

pub(super) const SUBGROUP: Check = Check {
    kernel: "query_key_subgroup",
    compare: |context, size, seed| compare_all(context, Variant::Subgroup, dimensions(size)?, seed),
    ..CHECK
};

pub(super) const COOPERATIVE: Check = Check {
    kernel: "query_key_cooperative",
    compare: |context, size, seed| {
        let [images, tokens, _, head] = dimensions(size)?;
        compare_cosines(context, [images, tokens, head], seed)
    },
    ..CHECK
};

/// What a session uses of the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    pub(crate) variant: Variant,
    pub(crate) precision: Precision,
    pub(crate) products: Products,
    /// Where rows lie: of cosines also in a texture.
    pub(crate) home: Home,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [variant, products] = [format!("{:?}", self.variant), format!("{:?}", self.products)];
        let texture = self.home.of("", " texture");
        write!(f, "query_key {} {} {}{texture}", variant.to_lowercase(), self.precision, products.to_lowercase())
    }
}

/// Every form.
fn compare_all(context: &Context, variant: Variant, size: [usize; 4], seed: u64) -> Result<Difference> {
    let forms = [
        (Precision::F32, Products::Logits),
        (Precision::F16, Products::Logits),
        (Precision::F32, Products::ProportionalLogits),
        (Precision::F32, Products::Cosines),
    ];
    let mut worst = Difference::NONE;
    for (precision, products) in forms {
        worst = worst.worse(Use { variant, precision, products, home: Home::Buffer }.compare(context, size, seed)?);
    }
    if variant == Variant::Subgroup {
        let used = Use { variant, precision: Precision::F32, products: Products::Cosines, home: Home::Texture };
        worst = worst.worse(used.compare(context, size, seed)?);
    }
    Ok(worst)
}

/// Cosines by cooperative matrices, and twin, of about `inner` dimensions of a key.
pub(crate) fn compare_cosines(context: &Context, [images, tokens, inner]: [usize; 3], seed: u64) -> Result<Difference> {
    let inner = inner.next_multiple_of(2 * tile(context)?.side() as usize);
    let mut random = Random::named("query_key_cooperative", seed);
    let x = stored(random.tensor(images * tokens * inner, 0.0, 1.0), Precision::F16);
    let x_buffer = upload_as(context, "x", &x, Precision::F16)?;
    let mut twin = vec![f32::NAN; images * tokens * tokens];
    let y = unset(context, "y", twin.len())?;
    let params = cooperative::Params { tokens: tokens as u32, inner8: (inner / 8) as u32, images: images as u32 };
    execute(context, |recorder| cooperative::record(recorder, params, cooperative::Bindings { x: &x_buffer, y: &y }))?;
    let got: Vec<f32> = download(context, &y, twin.len())?;
    let (row4, n) = ((inner / 4) as u32, tokens as u32);
    let params = Params { tokens: n, heads: 1, row4, key_offset4: 0, head4: row4, stride: n, scale: 1.0 };
    query_key(&x, None, &params, &mut twin);
    let usual = (inner as f64).sqrt() / 3.0;
    // As for dense layers by such matrices: their adders may cut.
    let sum = 4.0 * (rounding(inner) + 2.0 * UNIT * (inner as f64 / 8.0));
    Ok(Difference::of_floats_near(&got, &twin, usual, sum))
}

impl Use {
    /// Kernel and twin for images, tokens, heads and about so many dimensions of a head.
    pub(crate) fn compare(
        self,
        context: &Context,
        [images, tokens, heads, head]: [usize; 4],
        seed: u64,
    ) -> Result<Difference> {
        let Self { variant, precision, products, home } = self;
        let head = head.next_multiple_of(4);
        let mut params = Params {
            tokens: tokens as u32,
            heads: heads as u32,
            row4: (3 * heads * head / 4) as u32,
            key_offset4: (heads * head / 4) as u32,
            head4: (head / 4) as u32,
            stride: tokens.next_multiple_of(4) as u32,
            scale: 1.0 / (head as f32).sqrt(),
        };
        if products == Products::Cosines {
            let (row4, stride) = ((head / 4) as u32, tokens as u32);
            params = Params { heads: 1, row4, key_offset4: 0, stride, scale: 1.0, ..params };
        }
        let mut random = Random::named("query_key", seed);
        let numbers = random.tensor(images * tokens * params.row4 as usize * 4, 0.0, 1.0);
        let sizes: Vec<f32> = (0..images * tokens).map(|_| 1.0 + random.below(9) as f32).collect();
        let sizes_buffer = upload(context, "sizes", &sizes)?;
        let proportional = products == Products::ProportionalLogits;
        let x = stored(numbers, precision);
        let texels = [params.row4, params.tokens, images as u32];
        let placed = place(context, "x", &x, precision, (texels, home))?;
        // What is past T stays as it was.
        let mut twin = random.tensor(images * params.heads as usize * tokens * params.stride as usize, 0.0, 1.0);
        let y = upload(context, "y", &twin)?;
        let bindings = Bindings { x: placed.matrix(), sizes: &sizes_buffer, y: &y };
        let types = Types::new(precision, Precision::F32);
        execute(context, |recorder| record(recorder, variant, types, params, images as u32, products, bindings))?;
        let got: Vec<f32> = download(context, &y, twin.len())?;
        query_key(&x, proportional.then_some(&sizes), &params, &mut twin);
        // The usual size of a dot product of numbers between -1 and 1, which a single one may miss by far.
        let usual = (head as f64).sqrt() / 3.0 * f64::from(params.scale);
        // WGSL's logarithm is off by up to 3 units in the last place, of numbers below 4.
        let logarithm = if proportional { 3.0 * 2.0 * ULP / usual } else { 0.0 };
        Ok(Difference::of_floats_near(&got, &twin, usual, rounding(head) + logarithm))
    }
}
