//! Sizes that kernels which work in octets of lanes (`shaders/shared/octet.wgsl`) have in common.

use super::Traits;

/// Octets in a workgroup of 64 threads.
pub const OCTETS: usize = 8;

/// How many groups of 8 rows one octet computes at once, out of `rows` rows. The number is the cheapest if rows past
/// the end cost as much as others, and if the loads that the groups of a tile share cost as much as one and a half
/// groups (measured on llvmpipe).
pub(crate) fn groups(rows: usize) -> usize {
    let cost = |groups: &usize| rows.div_ceil(8 * groups) * (3 + 2 * groups);
    (1..=3).min_by_key(cost).unwrap_or(1)
}

/// The workgroup size of a kernel with one workgroup for each image, as its shader declares it.
pub(crate) const WORKGROUP: [u32; 3] = [64, 1, 1];

/// Constants for a kernel with one workgroup for each image: the threads of the workgroup and the shortest run of
/// places for a thread, as they suit the device.
pub(crate) fn threads_of_an_image(traits: &Traits) -> [(&'static str, u32); 2] {
    [("THREADS", traits.threads_of_an_image), ("SHORTEST", traits.shortest_run)]
}

/// The workgroup count for `tiles` octets.
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
