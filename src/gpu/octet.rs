//! What kernels that work in octets of lanes (`shaders/shared/octet.wgsl`) count alike.

use super::Traits;

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

/// The constants that give a workgroup of one image as many threads, and each of them as long runs of places, as suits the
/// device.
pub(crate) fn threads_of_an_image(traits: &Traits) -> [(&'static str, u32); 2] {
    [("THREADS", traits.threads_of_an_image), ("SHORTEST", traits.shortest_run)]
}

/// Workgroups for `tiles` octets.
#[cfg(feature = "software")]
pub(crate) fn workgroups(tiles: usize) -> [u32; 3] {
    super::grid(tiles.div_ceil(OCTETS))
}

#[cfg(test)]
mod tests {
    use super::groups;

    #[test]
    fn few_rows_are_one_group_and_many_are_three() {
        assert_eq!([1, 8, 9, 16, 29, 113, 197, 577].map(groups), [1, 1, 2, 2, 2, 3, 3, 3]);
    }
}
