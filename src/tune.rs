//! Which way to make a product: by a table that needs no measuring, or by a short search on the device, whose results the
//! [`Context`] remembers. Whichever it is, a variant is used on a device only after it has given the twin's result there:
//! wrong results on some GPU are what users of every peer complain about most.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::gpu::{self, Context, Home, Placed, Precision, Recorder, Texels, Types, empty, fits, profile};
use crate::kernels::convolve;
use crate::kernels::linear::{self, Bindings, Epilogue, Params, Residual, Variant, cooperative, subgroup};

mod belief;

use belief::of_product;
pub use belief::way;
pub(crate) use belief::{
    Cosines, is_believed, of_attention, of_convolution, of_cosines, of_matching, of_means, of_norm, of_score,
};

/// How often each candidate is timed; the shortest counts, since nothing makes a kernel faster by accident.
const REPEATS: usize = 3;

/// A candidate replaces the table's choice when it takes less than this share of its time.
const CLEARLY: f64 = 0.95;

/// What all searches of one context may take together. Beyond it the table decides.
const BUDGET: Duration = Duration::from_secs(5);

/// The variant of [`linear`] for `params` and `epilogue` on `context`'s device: remembered, or found by a search where
/// `context` tunes, or the table's.
///
/// # Errors
/// [`Error::Shader`] where none is right on the device that can read weights in a texture.
pub fn variant(context: &Context, types: Types, params: &Params, epilogue: Epilogue) -> Result<Variant> {
    let measured = Params { rows: bucket(params.rows), ..*params };
    let name = format!("linear {} {} {} {}", measured.rows, params.inner4 * 4, params.columns4 * 4, name_of(types));
    let is_right = |variant: Variant| of_product(context, variant, types, epilogue);
    let remembered = context.choices().get(&name);
    if let Some(known) = Variant::all(context, types).into_iter().find(|variant| Some(variant.name()) == remembered)
        && is_right(known)
    {
        return Ok(known);
    }
    let default = match default_variant(context, types, params) {
        default if is_right(default) => default,
        // What is in a texture nothing else could read.
        _ if types.home == Home::Texture => {
            let others = Variant::all(context, types).into_iter().find(|&variant| is_right(variant));
            let wrong = || Error::shader("choose a dense layer", "a kernel that is right on this device", "none");
            others.ok_or_else(wrong)?
        }
        _ => Variant::Plain,
    };
    if !context.tunes() || context.tuning_time() > BUDGET {
        return Ok(default);
    }
    let start = Instant::now();
    let candidates = candidates(context, types, &measured);
    let right: Vec<Variant> = candidates.into_iter().filter(|&variant| is_right(variant)).collect();
    if right == [default] {
        return Ok(default);
    }
    let time = |variant| seconds(context, variant, types, &measured, epilogue);
    let best = search(default, &right, time).unwrap_or(default);
    context.spent_tuning(start.elapsed());
    found(context, name, best.name());
    Ok(best)
}

/// What is tried: what can win, since comparing and compiling the rest takes its time. On a GPU nothing comes near
/// cooperative matrices where they can be used; a CPU that emulates one loads lane by lane, which subgroups share, in tiles
/// that are not empty for the most part.
fn candidates(context: &Context, types: Types, params: &Params) -> Vec<Variant> {
    let is_filled =
        |variant: &Variant| !matches!(variant, Variant::Subgroup { eights } if 8 * (eights - 1) >= params.rows);
    let all: Vec<Variant> = Variant::all(context, types).into_iter().filter(is_filled).collect();
    let emulated = context.is_emulated();
    let leads = |variant: &Variant| match emulated {
        true => matches!(variant, Variant::Subgroup { .. }),
        false => matches!(variant, Variant::Cooperative(_)),
    };
    if all.iter().any(leads) { all.into_iter().filter(leads).collect() } else { all }
}

fn name_of(types: Types) -> String {
    let texture = types.home.of("", " texture");
    format!("{} {}{texture}", types.input, types.output)
}

/// Where weights of a dense layer, that a texture of `texels` holds, are read fastest: a CPU that emulates a GPU loads from
/// buffers lane by lane.
pub(crate) fn home_of_weights(context: &Context, precision: Precision, texels: Texels) -> Home {
    let emulated = context.is_emulated() && subgroup::lanes(context).is_some();
    // The others are asked when they are chosen; that it can be read at all, the smallest tells.
    let types = Types::new(precision, Precision::F32).at(Home::Texture);
    let smallest = Variant::Subgroup { eights: 1 };
    match emulated && fits(context, texels) && of_product(context, smallest, types, Epilogue::Store) {
        true => Home::Texture,
        false => Home::Buffer,
    }
}

/// Where weights of a convolution, that a texture of `texels` holds, are read fastest, likewise.
pub(crate) fn home_of_filters(
    context: &Context,
    convolution: (&convolve::Params, convolve::Window),
    texels: Texels,
) -> Home {
    let emulated = context.is_emulated();
    let way = || of_convolution(context, Precision::F32, convolution, Home::Texture);
    match emulated && fits(context, texels) && way() == convolve::Variant::Subgroup {
        true => Home::Texture,
        false => Home::Buffer,
    }
}

/// Notes what a search found for `name`.
pub(crate) fn found(context: &Context, name: String, best: String) {
    tracing::info!(name, best, "tuned");
    context.choices().set(name, best);
}

/// The variant that needs no measuring. A CPU's loads are dear, so there operands are broadcast, in the tile that wastes
/// the fewest rows; a GPU uses cooperative matrices where it has them, else reads through workgroup memory, in tiles small
/// enough to occupy it.
pub fn default_variant(context: &Context, types: Types, params: &Params) -> Variant {
    let candidates = candidates(context, types, params);
    if context.is_emulated() || types.home == Home::Texture {
        // Time per row of a tile of 8, 16 and 24 rows, as measured on llvmpipe.
        let time = |eights: u32| params.rows.next_multiple_of(8 * eights) * [0, 15, 11, 10][eights as usize];
        let eights = (1..=3).rev().min_by_key(|&eights| time(eights)).unwrap_or(3);
        let wanted = Variant::Subgroup { eights };
        return if subgroup::lanes(context).is_some() { wanted } else { Variant::Plain };
    }
    let matrices = candidates.iter().find_map(|variant| match variant {
        Variant::Cooperative(_) => Some(cooperative::Shape::for_sizes(context, params)),
        _ => None,
    });
    if let Some(shape) = matrices {
        return Variant::Cooperative(shape);
    }
    // Four workgroups for each of some hundred cores keep a large GPU busy.
    const ENOUGH: u32 = 512;
    let tiles = |rows: u32| params.rows.div_ceil(8 * rows) * params.columns4.div_ceil(16);
    let tiled = Variant::Tiled { rows: if tiles(8) >= ENOUGH { 8 } else { 4 } };
    if candidates.contains(&tiled) { tiled } else { Variant::Plain }
}

/// Row counts that are tuned for: powers of two and one and a half times them, so that a network whose tokens dwindle
/// does not need a search in every block.
fn bucket(rows: u32) -> u32 {
    let power = rows.max(8).next_power_of_two();
    if rows <= power / 4 * 3 { power / 4 * 3 } else { power }
}

/// The fastest of `candidates`, if it is clearly faster than `default`. One that the device has no room for is none.
pub(crate) fn search<T: Copy + PartialEq>(
    default: T,
    candidates: &[T],
    mut seconds: impl FnMut(T) -> Result<f64>,
) -> Result<T> {
    let mut best = (seconds(default)? * CLEARLY, default);
    for &candidate in candidates.iter().filter(|&&candidate| candidate != default) {
        match seconds(candidate) {
            Ok(time) if time < best.0 => best = (time, candidate),
            Ok(_) | Err(Error::Limit { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(best.1)
}

/// Time of one product, on the device's own clock where it has one.
pub(crate) fn seconds(
    context: &Context,
    variant: Variant,
    types: Types,
    params: &Params,
    epilogue: Epilogue,
) -> Result<f64> {
    let (rows, inner, columns) = (params.rows as usize, params.inner4 as usize * 4, params.columns4 as usize * 4);
    let x = empty(context, "tuned x", types.input.words(rows * inner))?;
    let texels = linear::texels(inner, columns, types.input);
    let in_texture = (types.home == Home::Texture).then_some(texels);
    let w = Placed::empty(context, "tuned w", types.input.words(inner * columns), in_texture)?;
    let bias = empty(context, "tuned bias", columns)?;
    let y = empty(context, "tuned y", types.output.words(rows * columns))?;
    let gathered = match epilogue {
        Epilogue::Gather => {
            Some((empty(context, "tuned tokens", rows * columns)?, empty(context, "tuned rows", rows)?))
        }
        _ => None,
    };
    seconds_of(context, |recorder| {
        let residual = gathered.as_ref().map(|(tokens, rows)| Residual { tokens, rows });
        let bindings = Bindings { x: &x, w: w.matrix(), bias: &bias, y: &y, residual };
        linear::record(recorder, variant, types, *params, epilogue, bindings)
    })
}

/// Time of what `record` records, on the device's own clock where it has one.
pub(crate) fn seconds_of(context: &Context, record: impl Fn(&mut Recorder<'_>) -> Result<()>) -> Result<f64> {
    let mut recorder = Recorder::new(context);
    let repeats = if context.can_profile() { REPEATS + 1 } else { 1 };
    for _ in 0..repeats {
        record(&mut recorder)?;
    }
    let recording = recorder.finish()?;
    if context.can_profile() {
        let times = profile(context, &recording)?;
        let whole = |times: &[gpu::KernelTime]| times.iter().map(|time| time.nanoseconds / 1e9).sum::<f64>();
        // The first one warms caches and clocks.
        return Ok(times.chunks(recording.len() / repeats).skip(1).map(whole).fold(f64::INFINITY, f64::min));
    }
    let mut shortest = f64::INFINITY;
    for _ in 0..=REPEATS {
        let start = Instant::now();
        recording.submit(context)?;
        context.wait("tune")?;
        shortest = shortest.min(start.elapsed().as_secs_f64());
    }
    Ok(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_not_below_and_at_most_half_above_the_rows() {
        for rows in 1..5000 {
            let bucket = bucket(rows);
            assert!(bucket >= rows && (rows < 8 || bucket * 2 <= rows * 3), "{rows}: {bucket}");
        }
        assert_eq!([8, 9, 13, 1576].map(bucket), [8, 12, 16, 2048]);
    }
}
