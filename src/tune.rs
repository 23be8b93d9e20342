//! Which way to make a product: by a table that needs no measuring, or by a short search on the device, whose results the
//! [`Context`] remembers. Whichever it is, a variant is used on a device only after it has given the twin's result there:
//! wrong results on some GPU are what users of every peer complain about most.

use std::time::{Duration, Instant};

use crate::doctor::{self, Difference};
use crate::error::{Error, Result};
use crate::gpu::{self, Context, Home, Placed, Precision, Recorder, Texels, Types, empty, fits, profile};
use crate::kernels::linear::{self, Bindings, Epilogue, Params, Variant, cooperative, subgroup};

/// Sizes at which a variant must give the twin's result: below, at and past every tile's edge.
const PROOFS: [[usize; 3]; 3] = [[7, 20, 12], [65, 64, 68], [130, 72, 192]];

/// How often each candidate is timed; the shortest counts, since nothing makes a kernel faster by accident.
const REPEATS: usize = 3;

/// A candidate replaces the table's choice when it takes less than this share of its time.
const CLEARLY: f64 = 0.95;

/// What all searches of one context may take together. Beyond it the table decides.
const BUDGET: Duration = Duration::from_secs(5);

/// The variant of [`linear`] for `params` on `context`'s device: remembered, or found by a search where `context` tunes,
/// or the table's.
pub fn variant(context: &Context, types: Types, params: &Params) -> Variant {
    let measured = Params { rows: bucket(params.rows), ..*params };
    let name = format!("linear {} {} {} {}", measured.rows, params.inner4 * 4, params.columns4 * 4, name_of(types));
    let remembered = context.choices().get(&name);
    if let Some(known) = Variant::all(context, types).into_iter().find(|variant| Some(variant.name()) == remembered)
        && is_right(context, known, types)
    {
        return known;
    }
    let default = default_variant(context, types, params);
    // Of weights in a texture nothing else could read, and they are there only where this is right.
    let alone = types.home == Home::Texture;
    let default = if alone || is_right(context, default, types) { default } else { Variant::Plain };
    if !context.tunes() || context.tuning_time() > BUDGET {
        return default;
    }
    let start = Instant::now();
    let candidates = candidates(context, types, &measured);
    let right: Vec<Variant> = candidates.into_iter().filter(|&variant| is_right(context, variant, types)).collect();
    if right == [default] {
        return default;
    }
    let best = search(default, &right, |variant| seconds(context, variant, types, &measured)).unwrap_or(default);
    context.spent_tuning(start.elapsed());
    found(context, name, best.name());
    best
}

/// What is tried: what can win, since comparing and compiling the rest takes its time. On a GPU nothing comes near
/// cooperative matrices where they can be used; a CPU that emulates one loads lane by lane, which subgroups share, in tiles
/// that are not empty for the most part.
fn candidates(context: &Context, types: Types, params: &Params) -> Vec<Variant> {
    let is_filled =
        |variant: &Variant| !matches!(variant, Variant::Subgroup { eights } if 8 * (eights - 1) >= params.rows);
    let all: Vec<Variant> = Variant::all(context, types).into_iter().filter(is_filled).collect();
    let emulated = context.info().device_type == wgpu::DeviceType::Cpu;
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
    let emulated = context.info().device_type == wgpu::DeviceType::Cpu && subgroup::lanes(context).is_some();
    // The others are asked when they are chosen; that it can be read at all, one tells.
    let types = Types::new(precision, Precision::F32).at(Home::Texture);
    match emulated && fits(context, texels) && is_right(context, Variant::Subgroup { eights: 3 }, types) {
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
    if context.info().device_type == wgpu::DeviceType::Cpu || types.home == Home::Texture {
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

/// Which variant of all of `kernels` (their stems) to run: the subgroups' where the device can and each of them has given
/// its twin's results there, at every size that the doctor tries.
pub fn way(context: &Context, kernels: &[&str]) -> gpu::Variant {
    // A driver for GPUs took 12 seconds to compile every form of this one, which then was as fast as the plain kernel.
    let slow = context.info().device_type != wgpu::DeviceType::Cpu && kernels.contains(&"assign");
    let available = gpu::Variant::Subgroup.available(context) && !slow;
    match available && kernels.iter().all(|kernel| subgroups_are_right(context, kernel)) {
        true => gpu::Variant::Subgroup,
        false => gpu::Variant::Plain,
    }
}

fn subgroups_are_right(context: &Context, kernel: &str) -> bool {
    is_believed(context, &format!("{kernel}_subgroup"))
}

/// Whether `kernel`, which the device can run, has given its twin's results there, at every size that the doctor tries.
pub(crate) fn is_believed(context: &Context, kernel: &str) -> bool {
    let Some(check) = doctor::CHECKS.iter().find(|check| check.kernel == kernel) else { return false };
    believed(context, kernel, || proven(check.sizes.iter().map(|size| check.compare(context, size))))
}

/// Whether every comparison passed that the device has room for, and at least one had.
fn proven(comparisons: impl Iterator<Item = Result<Difference>>) -> bool {
    let mut passed = 0;
    for comparison in comparisons {
        match comparison {
            Ok(difference) if difference.passed() => passed += 1,
            Err(Error::Limit { .. }) => {}
            _ => return false,
        }
    }
    passed > 0
}

/// Whether `what` matches its twin on this device: remembered, or found by `compare`.
fn believed(context: &Context, what: &str, compare: impl FnOnce() -> bool) -> bool {
    let name = format!("{what} matches its twin");
    if let Some(known) = context.choices().get(&name) {
        return known == "yes";
    }
    let start = Instant::now();
    let right = compare();
    tracing::debug!(what, right, seconds = start.elapsed().as_secs_f64(), "compared with its twin");
    if !right {
        tracing::warn!(what, "a kernel is wrong on this device and not used");
    }
    // A device that is lost says nothing about the kernel.
    if context.healthy("").is_ok() {
        context.choices().set(name, if right { "yes" } else { "no" });
    }
    right
}

/// Row counts that are tuned for: powers of two and one and a half times them, so that a network whose tokens dwindle
/// does not need a search in every block.
fn bucket(rows: u32) -> u32 {
    let power = rows.max(8).next_power_of_two();
    if rows <= power / 4 * 3 { power / 4 * 3 } else { power }
}

/// Whether `variant` gives the twin's results on this device; asked once for each context.
fn is_right(context: &Context, variant: Variant, types: Types) -> bool {
    if variant == Variant::Plain {
        // There is nothing to fall back to; the doctor and the tests check it.
        return true;
    }
    let compare = |size: &[usize; 3]| doctor::compare_linear(context, variant, types, size, 1);
    believed(context, &format!("linear {} {}", variant.name(), name_of(types)), || proven(PROOFS.iter().map(compare)))
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
pub(crate) fn seconds(context: &Context, variant: Variant, types: Types, params: &Params) -> Result<f64> {
    let (rows, inner, columns) = (params.rows as usize, params.inner4 as usize * 4, params.columns4 as usize * 4);
    let x = empty(context, "tuned x", types.input.words(rows * inner))?;
    let texels = linear::texels(inner, columns, types.input);
    let in_texture = (types.home == Home::Texture).then_some(texels);
    let w = Placed::empty(context, "tuned w", types.input.words(inner * columns), in_texture)?;
    let bias = empty(context, "tuned bias", columns)?;
    let y = empty(context, "tuned y", types.output.words(rows * columns))?;
    seconds_of(context, |recorder| {
        let bindings = Bindings { x: &x, w: w.matrix(), bias: &bias, y: &y, residual: None };
        linear::record(recorder, variant, types, *params, Epilogue::Store, bindings)
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
