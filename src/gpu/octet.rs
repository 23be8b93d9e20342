//! What kernels that work in octets of lanes (`shaders/shared/octet.wgsl`) count alike.

use super::{Context, grid};

/// Octets in a workgroup of 64 threads.
pub const OCTETS: usize = 8;

/// Groups of 8 rows that one octet makes of `rows` at once: what costs least when rows past the end cost as much as
/// others, and loading what a tile's groups share as much as one and a half of them (measured on llvmpipe).
pub(crate) fn groups(rows: usize) -> usize {
    let cost = |groups: &usize| rows.div_ceil(8 * groups) * (3 + 2 * groups);
    (1..=3).min_by_key(cost).unwrap_or(1)
}

/// The workgroup of a kernel that has one for each image, as its shader declares it.
pub(crate) const WORKGROUP: [u32; 3] = [64, 1, 1];

/// The constants that make it as large as suits `context`, and the runs of places that its threads have as short: a CPU runs
/// a workgroup on one core, where every barrier is as dear as there are subgroups; on a GPU most of the device is idle beside
/// it.
pub(crate) fn threads_of_an_image(context: &Context) -> [(&'static str, f64); 2] {
    let small = context.is_emulated();
    let threads =
        if small { 64 } else { context.limits().max_compute_invocations_per_workgroup.clamp(64, 256) / 64 * 64 };
    [("THREADS", f64::from(threads)), ("SHORTEST", if small { 4.0 } else { 1.0 })]
}

/// Workgroups for `tiles` octets.
pub(crate) fn workgroups(tiles: usize) -> [u32; 3] {
    grid(tiles.div_ceil(OCTETS))
}

#[cfg(test)]
mod tests {
    use super::groups;

    #[test]
    fn few_rows_are_one_group_and_many_are_three() {
        assert_eq!([1, 8, 9, 16, 29, 113, 197, 577].map(groups), [1, 1, 2, 2, 2, 3, 3, 3]);
    }
}
