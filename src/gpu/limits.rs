//! The limits that every device must have. They are checked before anything is recorded, so that an error can name the
//! limit that is too small.

use crate::error::{Error, Result};

/// A limit that the kernels need.
pub struct Need {
    /// Its name in [`wgpu::Limits`].
    pub name: &'static str,
    /// Its least value.
    pub least: u64,
    of: fn(&wgpu::Limits) -> u64,
}

/// Every limit that the kernels need. `tests/shaders.rs` compares this table with the shaders.
pub const NEEDED: &[Need] = &[
    Need {
        name: "max_storage_buffers_per_shader_stage",
        least: 8,
        of: |limits| limits.max_storage_buffers_per_shader_stage.into(),
    },
    Need {
        name: "max_uniform_buffers_per_shader_stage",
        least: 1,
        of: |limits| limits.max_uniform_buffers_per_shader_stage.into(),
    },
    Need { name: "max_bindings_per_bind_group", least: 9, of: |limits| limits.max_bindings_per_bind_group.into() },
    Need {
        name: "max_compute_workgroup_storage_size",
        least: 16_384,
        of: |limits| limits.max_compute_workgroup_storage_size.into(),
    },
    Need {
        name: "max_compute_invocations_per_workgroup",
        least: 256,
        of: |limits| limits.max_compute_invocations_per_workgroup.into(),
    },
    Need { name: "max_compute_workgroup_size_x", least: 256, of: |limits| limits.max_compute_workgroup_size_x.into() },
    Need {
        name: "max_compute_workgroups_per_dimension",
        least: 65_535,
        of: |limits| limits.max_compute_workgroups_per_dimension.into(),
    },
    Need {
        name: "max_storage_buffer_binding_size",
        least: 16_384,
        of: |limits| limits.max_storage_buffer_binding_size,
    },
    Need { name: "max_buffer_size", least: 16_384, of: |limits| limits.max_buffer_size },
];

/// Returns an error if a limit is too small.
pub(super) fn check(limits: &wgpu::Limits, adapter: &str) -> Result<()> {
    let too_small = |need: &&Need| (need.of)(limits) < need.least;
    let Some(need) = NEEDED.iter().find(too_small) else { return Ok(()) };
    Err(Error::limit(
        "open device",
        format!(
            "{} of at least {}; tcvit::recommended(&adapter) asks for all that the adapter has",
            need.name, need.least
        ),
        format!("{} on {adapter}", (need.of)(limits)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_enough_and_smaller_limits_are_named() {
        check(&wgpu::Limits::default(), "a test").unwrap();
        let refused = |limits| check(&limits, "a test").unwrap_err().to_string();
        let text = refused(wgpu::Limits::downlevel_defaults());
        assert!(
            text.contains("max_storage_buffers_per_shader_stage of at least 8") && text.contains("got 4"),
            "{text}"
        );
        let text = refused(wgpu::Limits::downlevel_webgl2_defaults());
        assert!(text.contains("max_storage_buffers_per_shader_stage") && text.contains("got 0"), "{text}");
        let text = refused(wgpu::Limits { max_compute_workgroup_size_x: 64, ..wgpu::Limits::default() });
        assert!(text.contains("max_compute_workgroup_size_x of at least 256") && text.contains("got 64"), "{text}");
    }
}
