//! Cooperative matrices: matrices that the threads of a subgroup hold together and multiply with one instruction.

/// Features that a device must have to run a kernel with cooperative matrices, besides matrices of a [`Tile`]'s shape.
pub const COOPERATIVE: wgpu::Features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::SUBGROUP_BARRIER);

/// The shape of an adapter's cooperative matrices, which have f16 factors and f32 sums. It decides which of
/// `shared/cooperative_*.wgsl` the line `#import shared/cooperative.wgsl` stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tile {
    /// 8 by 8 by 8.
    #[default]
    Eight,
    /// 16 by 16 by 16.
    Sixteen,
}

impl Tile {
    /// Every shape.
    pub const ALL: [Self; 2] = [Self::Eight, Self::Sixteen];

    /// Rows, columns and terms of a product, which are equal.
    pub const fn side(self) -> u32 {
        match self {
            Self::Eight => 8,
            Self::Sixteen => 16,
        }
    }

    /// The largest shape that `adapter` has and whose kernels fit a device with `limits`.
    pub(super) fn of_adapter(adapter: &wgpu::Adapter, limits: &wgpu::Limits) -> Option<Self> {
        if !adapter.features().contains(COOPERATIVE) {
            return None;
        }
        let info = adapter.get_info();
        let threads = [info.subgroup_min_size, info.subgroup_max_size].map(|size| size * Self::SUBGROUPS);
        Self::choose(&adapter.cooperative_matrix_properties(), threads, limits.max_compute_invocations_per_workgroup)
    }

    /// The fewest subgroups in a workgroup of the kernels that use cooperative matrices.
    pub const SUBGROUPS: u32 = 4;

    fn choose(shapes: &[wgpu::CooperativeMatrixProperties], threads: [u32; 2], most_threads: u32) -> Option<Self> {
        use wgpu::CooperativeScalarType::{F16, F32};
        let [fewest, most] = threads;
        Self::ALL.into_iter().rev().find(|tile| {
            let side = tile.side();
            let has = shapes.iter().any(|shape| {
                [shape.m_size, shape.n_size, shape.k_size] == [side; 3] && (shape.ab_type, shape.cr_type) == (F16, F32)
            });
            // Each thread fills a slab by at most 8 fetches, so a workgroup needs enough threads.
            has && fewest > 0 && most <= most_threads && most >= side * side / 2
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgpu::CooperativeScalarType::{F16, F32};

    fn shape(sides: [u32; 3], types: [wgpu::CooperativeScalarType; 2]) -> wgpu::CooperativeMatrixProperties {
        wgpu::CooperativeMatrixProperties {
            m_size: sides[0],
            n_size: sides[1],
            k_size: sides[2],
            ab_type: types[0],
            cr_type: types[1],
            saturating_accumulation: false,
        }
    }

    #[test]
    fn the_largest_square_shape_of_f16_with_f32_sums_is_chosen() {
        let nvidia = [shape([16, 8, 16], [F16, F32]), shape([16; 3], [F16, F16]), shape([16; 3], [F16, F32])];
        assert_eq!(Tile::choose(&nvidia, [128, 128], 1024), Some(Tile::Sixteen));
        assert_eq!(Tile::choose(&nvidia[..2], [128, 128], 1024), None);
        let both = [shape([8; 3], [F16, F32]), shape([16; 3], [F16, F32])];
        assert_eq!(Tile::choose(&both, [128, 256], 256), Some(Tile::Sixteen));
        // Subgroups of 8 threads are too few for 16 by 16. Subgroups of 128 threads are too many for a workgroup.
        assert_eq!(Tile::choose(&both, [32, 32], 1024), Some(Tile::Eight));
        assert_eq!(Tile::choose(&both, [512, 512], 256), None);
        assert_eq!(Tile::choose(&[shape([8; 3], [F32, F32])], [128, 128], 1024), None);
        assert_eq!(Tile::choose(&[], [128, 128], 1024), None);
    }
}
