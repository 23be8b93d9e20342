//! What kernels are chosen by: a device described once, when its context opens.

use super::{Kernel, Tile};

/// A device as the choice of kernels sees it: plain data. Whether its adapter is a GPU, or a CPU that emulates one, is asked
/// here and nowhere else; what follows from it is named for what it means to kernels.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Traits {
    /// Name, backend and driver, for messages.
    pub name: String,
    /// The device's features.
    pub features: wgpu::Features,
    /// The device's limits, which may be smaller than the adapter's.
    pub limits: wgpu::Limits,
    /// The fewest and the most threads of a subgroup.
    pub subgroup_sizes: [u32; 2],
    /// The shape of cooperative matrices that kernels may use.
    pub tile: Option<Tile>,
    /// Whether loads from buffers cost more than arithmetic, lane by lane, so that it pays to share what was loaded between
    /// the lanes of a subgroup and to read matrices from textures.
    pub loads_are_dear: bool,
    /// Threads of a workgroup that has an image to itself, a multiple of 64. More threads hide the time that a GPU waits for
    /// memory; a CPU runs them one subgroup after the other, and every barrier costs as much as there are subgroups.
    pub threads_of_an_image: u32,
    /// Places that a thread of such a workgroup looks at, at least.
    pub shortest_run: u32,
    /// Whether it pays to have more threads and more loads under way than there is work for: a GPU waits for memory
    /// meanwhile, to a CPU they are only more work.
    pub loads_ahead: bool,
    /// Whether threads have registers to fetch the next tile into while they multiply the last.
    pub fetches_tiles_ahead: bool,
    /// Whether sums in cooperative matrices can be stored to vec4s.
    pub stores_sums_as_vectors: bool,
    /// Whether the driver's `pack2x16float` rounds to nearest, which WGSL leaves open.
    pub packs_to_nearest: bool,
    /// Whether clocks rise under load, so that measurements begin with a while of work.
    pub clocks_rise: bool,
    /// Whether times on it say nothing of other devices: the adapter is a CPU that emulates a GPU.
    pub times_are_its_own: bool,
}

impl Traits {
    /// Those of a device on the adapter `info`. `as_gpu`: as if the adapter were a GPU, whatever it is.
    pub fn new(
        info: &wgpu::AdapterInfo,
        features: wgpu::Features,
        limits: wgpu::Limits,
        tile: Option<Tile>,
        as_gpu: bool,
    ) -> Self {
        /// PCI's number of Intel. A thread has 128 numbers of each lane in registers there, and the tiles being multiplied
        /// take most of them: by Mesa's compiler 96 would be stored and 174 loaded for tiles that are fetched ahead.
        const INTEL: u32 = 0x8086;
        /// Drivers for which the doctor has shown that they round (AMD's by Mesa cuts, as its machine code shows).
        const ROUNDING: [&str; 2] = ["NVIDIA", "llvmpipe"];
        let is_cpu = info.device_type == wgpu::DeviceType::Cpu;
        let software = is_cpu && !as_gpu;
        let most = limits.max_compute_invocations_per_workgroup.clamp(64, 256) / 64 * 64;
        Self {
            name: format!("{} ({}, {})", info.name, info.backend, info.driver_info),
            features,
            limits,
            subgroup_sizes: [info.subgroup_min_size, info.subgroup_max_size],
            tile,
            loads_are_dear: software,
            threads_of_an_image: if software { 64 } else { most },
            shortest_run: if software { 4 } else { 1 },
            loads_ahead: !software,
            fetches_tiles_ahead: info.vendor != INTEL,
            stores_sums_as_vectors: info.backend != wgpu::Backend::Metal,
            packs_to_nearest: info.backend == wgpu::Backend::Vulkan && ROUNDING.contains(&info.driver.as_str()),
            clocks_rise: !is_cpu,
            times_are_its_own: is_cpu,
        }
    }

    /// Whether the device has the features that `kernel` needs, and cooperative matrices or subgroups of one size where it
    /// uses them.
    pub fn supports(&self, kernel: &Kernel) -> bool {
        let needs = kernel.features;
        self.features.contains(needs)
            && match needs.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
                true => self.tile.is_some(),
                false => !needs.contains(wgpu::Features::SUBGROUP) || self.has_octets(),
            }
    }

    /// Whether subgroups are all of one size that is known, of at least eight threads: an octet, which shares its loads.
    pub fn has_octets(&self) -> bool {
        const OCTET: u32 = 8;
        let [fewest, most] = self.subgroup_sizes;
        self.features.contains(wgpu::Features::SUBGROUP) && fewest >= OCTET && fewest == most
    }

    /// Threads of a subgroup, where all have one size from 8 to 64.
    pub fn lanes(&self) -> Option<u32> {
        Some(self.subgroup_sizes[0]).filter(|&lanes| self.has_octets() && lanes <= 64)
    }

    /// Whether every subgroup has as many threads as any other.
    pub fn subgroups_are_alike(&self) -> bool {
        self.subgroup_sizes[0] == self.subgroup_sizes[1]
    }

    /// Whether a workgroup of `threads` threads and `memory` bytes of workgroup memory fits the device.
    pub fn has_room(&self, threads: u32, memory: u32) -> bool {
        let limits = &self.limits;
        threads <= limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x)
            && memory <= limits.max_compute_workgroup_storage_size
    }

    /// Rows and columns of a cooperative matrix; of the smallest shape where the device has none.
    pub fn side(&self) -> u32 {
        self.tile.unwrap_or_default().side()
    }
}
