//! Checks that numbers are finite while it copies them into memory for the device.

use wgpu::WriteOnly;

use crate::error::{Error, Result};

/// Numbers that are checked before they are copied, few enough to stay in the processor's first cache meanwhile.
const BLOCK: usize = 4096;
const BYTES: usize = BLOCK * size_of::<f32>();
type Block<'a> = WriteOnly<'a, [u8; BYTES]>;

/// The fewest numbers that are worth a thread: 4 MB, which one thread copies in about half a millisecond.
const LEAST: usize = 1 << 20;

/// The most threads. With more, the copy is no faster, because the threads wait for memory.
const MOST_THREADS: usize = 8;

/// Returns an error, which calls the numbers `what`, unless all `values` are finite. `before` is how many of the
/// caller's numbers come before `values`.
pub(super) fn finite(what: &str, values: &[f32], before: usize) -> Result<()> {
    match first_in(values) {
        None => Ok(()),
        Some(at) => Err(not_finite(what, values[at], before + at)),
    }
}

/// Copies `values` to `out`, on several threads if there is enough to copy. Returns an error unless all `values` are
/// finite; `out` holds only some of them in that case. `before` is how many of the caller's numbers come before
/// `values`.
pub(super) fn copy_finite(what: &str, values: &[f32], before: usize, out: WriteOnly<'_, [u8]>) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (values.len() / LEAST).clamp(1, cores.min(MOST_THREADS));
    let at = copy_in_parts(values, out, values.len().div_ceil(BLOCK * threads).max(1));
    at.map_or(Ok(()), |at| Err(not_finite(what, values[at], before + at)))
}

/// Copies parts of `part` blocks, each on a thread, and then the rest. Returns the index of the first number that is
/// not finite.
fn copy_in_parts(values: &[f32], out: WriteOnly<'_, [u8]>, part: usize) -> Option<usize> {
    // Only blocks of a known size may go to other threads; wgpu does not allow this for slices.
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
            // A thread that panicked has not copied everything. Its first number is reported.
            thread.join().unwrap_or(Some(0)).map(|at| number * part * BLOCK + at)
        });
        found.fold(None, Option::or).or_else(last)
    })
}

fn copy_blocks(values: &[f32], out: Vec<Block<'_>>) -> Option<usize> {
    let blocks = values.chunks(BLOCK).zip(out).enumerate();
    blocks.into_iter().find_map(|(number, (block, out))| copy(block, out.into()).map(|at| number * BLOCK + at))
}

/// Copies `values` if all are finite. Otherwise returns the index of the first number that is not.
fn copy(values: &[f32], mut out: WriteOnly<'_, [u8]>) -> Option<usize> {
    let found = first_in(values);
    if found.is_none() {
        out.copy_from_slice(bytemuck::cast_slice(values));
    }
    found
}

/// The index of the first number that is not finite.
fn first_in(values: &[f32]) -> Option<usize> {
    // Because this loop has no early exit, the compiler checks eight numbers at once.
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
