//! Numbers that must be finite, and their way into memory that a device copies from.

use wgpu::WriteOnly;

use crate::error::{Error, Result};

/// What is looked at before it is copied: few enough that the processor's first cache still holds them then.
const BLOCK: usize = 4096;
const BYTES: usize = BLOCK * size_of::<f32>();
type Block<'a> = WriteOnly<'a, [u8; BYTES]>;

/// The least that a thread is worth. (4 MB, which one copies in about half a millisecond.)
const LEAST: usize = 1 << 20;

/// More threads than these do not copy faster: memory is what they wait for.
const MOST_THREADS: usize = 8;

/// Refuses `values`, which are called `what`, unless all of them are finite.
pub(super) fn finite(what: &str, values: &[f32], before: usize) -> Result<()> {
    match first_in(values) {
        None => Ok(()),
        Some(at) => Err(not_finite(what, values[at], before + at)),
    }
}

/// Copies `values` to `out`, on several threads where there is enough to do, and refuses them unless all are finite; `out`
/// holds some of them then. `before` is how many numbers of what the caller gave come before them.
pub(super) fn copy_finite(what: &str, values: &[f32], before: usize, out: WriteOnly<'_, [u8]>) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (values.len() / LEAST).clamp(1, cores.min(MOST_THREADS));
    let at = copy_in_parts(values, out, values.len().div_ceil(BLOCK * threads).max(1));
    at.map_or(Ok(()), |at| Err(not_finite(what, values[at], before + at)))
}

/// Copies parts of `part` blocks, each on a thread, and what is left. Returns where the first number is that is not finite.
fn copy_in_parts(values: &[f32], out: WriteOnly<'_, [u8]>, part: usize) -> Option<usize> {
    // Blocks of a known size may go to other threads; wgpu lets no slice do so.
    let (blocks, rest) = out.into_chunks::<BYTES>();
    let blocks: Vec<Block<'_>> = blocks.into_iter().collect();
    let (whole, left) = values.split_at(blocks.len() * BLOCK);
    let last = || copy(left, rest).map(|at| whole.len() + at);
    if blocks.len() <= part {
        return copy_blocks(whole, blocks).or_else(last);
    }
    let mut blocks = blocks.into_iter();
    std::thread::scope(|scope| {
        let threads: Vec<_> = whole
            .chunks(part * BLOCK)
            .map(|values| {
                let out: Vec<Block<'_>> = blocks.by_ref().take(part).collect();
                scope.spawn(move || copy_blocks(values, out))
            })
            .collect();
        let found = threads.into_iter().enumerate().map(|(number, thread)| {
            // A thread that panicked has left something out: say so of its first number.
            thread.join().unwrap_or(Some(0)).map(|at| number * part * BLOCK + at)
        });
        found.fold(None, Option::or).or_else(last)
    })
}

fn copy_blocks(values: &[f32], out: Vec<Block<'_>>) -> Option<usize> {
    let blocks = values.chunks(BLOCK).zip(out).enumerate();
    blocks.into_iter().find_map(|(number, (block, out))| copy(block, out.into()).map(|at| number * BLOCK + at))
}

/// Copies them if all are finite.
fn copy(values: &[f32], mut out: WriteOnly<'_, [u8]>) -> Option<usize> {
    let found = first_in(values);
    if found.is_none() {
        out.copy_from_slice(bytemuck::cast_slice(values));
    }
    found
}

/// Where the first number is that is not finite.
fn first_in(values: &[f32]) -> Option<usize> {
    // Without a way out of the loop, the compiler looks at eight numbers at once.
    let all = |block: &[f32]| block.iter().fold(true, |all, value| all & value.is_finite());
    let block = values.chunks(BLOCK).position(|block| !all(block))?;
    let within = values[block * BLOCK..].iter().position(|value| !value.is_finite())?;
    Some(block * BLOCK + within)
}

fn not_finite(what: &str, value: f32, at: usize) -> Error {
    Error::not_finite("forward", format!("finite {what}"), format!("{value} at {at}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_copied_whole_and_the_first_number_that_is_not_finite_is_found() {
        let len = 3 * BLOCK + 7;
        let values: Vec<f32> = (0..len).map(|i| i as f32).collect();
        for part in [1, 2, 3, 4] {
            let mut out = vec![0u8; len * 4];
            assert_eq!(copy_in_parts(&values, WriteOnly::from_mut(&mut out), part), None);
            assert_eq!(out, bytemuck::cast_slice::<f32, u8>(&values));
            for (first, second) in
                [(0, 1), (5, len - 1), (BLOCK - 1, BLOCK), (2 * BLOCK + 3, len - 2), (len - 1, len - 1)]
            {
                let mut values = values.clone();
                (values[first], values[second]) = (f32::NAN, f32::INFINITY);
                if first == second {
                    values[first] = f32::NEG_INFINITY;
                }
                assert_eq!(copy_in_parts(&values, WriteOnly::from_mut(&mut out), part), Some(first), "{part}");
                assert_eq!(first_in(&values), Some(first));
                assert!(finite("numbers", &values, 0).unwrap_err().to_string().contains(&format!("at {first}")));
            }
        }
        assert_eq!(first_in(&[]), None);
    }

    #[test]
    fn an_error_counts_from_the_first_of_all_numbers() {
        let mut out = [0; 12];
        let error = copy_finite("pixels", &[1.0, f32::NAN, 2.0], 40, WriteOnly::from_mut(&mut out)).unwrap_err();
        assert!(error.to_string().contains("finite pixels") && error.to_string().contains("NaN at 41"), "{error}");
    }
}
