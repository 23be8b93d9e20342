//! The ways of doing what a kernel does, for kernels that have several.

use super::Context;

/// Which of a kernel's shaders runs. All of them make the same, to rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Runs everywhere.
    Plain,
    /// Eight lanes of a subgroup share what they load (`shared/octet.wgsl`).
    Subgroup,
}

impl Variant {
    /// Every variant.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Subgroup];

    /// The fewest lanes of a subgroup that make an octet.
    const OCTET: u32 = 8;

    /// Whether `context` can run it: subgroups, full ones, all of one size that is known.
    pub fn available(self, context: &Context) -> bool {
        let info = context.info();
        match self {
            Self::Plain => true,
            Self::Subgroup => {
                context.device().features().contains(wgpu::Features::SUBGROUP)
                    && info.subgroup_min_size >= Self::OCTET
                    && info.subgroup_min_size == info.subgroup_max_size
            }
        }
    }

    /// The one to run where nothing was measured: the last that is available.
    pub fn preferred(context: &Context) -> Self {
        if Self::Subgroup.available(context) { Self::Subgroup } else { Self::Plain }
    }
}
