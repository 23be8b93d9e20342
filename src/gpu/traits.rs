//! The traits of a device, by which kernels are chosen. They are described once, when a context opens.

use super::{Kernel, Tile};

/// A description of a device, as plain data, for the choice of kernels. Only this file asks whether an adapter is a
/// software adapter. The fields are named for what they mean to kernels.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Traits {
    /// Name, backend and driver, for messages.
    pub name: String,
    /// The device's features.
    pub features: wgpu::Features,
    /// The device's limits, which may be smaller than the adapter's.
    pub limits: wgpu::Limits,
    /// The smallest and the largest number of threads in a subgroup.
    pub subgroup_sizes: [u32; 2],
    /// The shape of cooperative matrices that kernels may use. `None` if the device has none.
    pub tile: Option<Tile>,
    /// Whether loads from buffers run lane by lane and cost more than arithmetic. If so, it pays to share loaded values
    /// between the lanes of a subgroup and to read matrices from textures.
    pub loads_are_dear: bool,
    /// Threads of a workgroup that works on one whole image, a multiple of 64. More threads hide a GPU's waits for
    /// memory. A CPU runs the subgroups one after the other, and each barrier costs more with more subgroups.
    pub threads_of_an_image: u32,
    /// The fewest neighbouring places (tokens in listing order) in the run of one thread of such a workgroup.
    pub shortest_run: u32,
    /// Whether it pays to start more threads and loads than there is work for. On a GPU they hide the waits for memory.
    /// For a CPU they are only more work.
    pub loads_ahead: bool,
    /// Whether a thread has enough registers to fetch the next tile while it multiplies the last one.
    pub fetches_tiles_ahead: bool,
    /// Whether sums in cooperative matrices can be stored to vec4s.
    pub stores_sums_as_vectors: bool,
    /// Whether the driver's `pack2x16float` rounds to nearest. WGSL leaves the rounding open.
    pub packs_to_nearest: bool,
    /// Whether clocks rise under load. If so, measurements begin with some work to raise them.
    pub clocks_rise: bool,
    /// Whether times on the device say nothing about other devices, because it is a software adapter.
    pub times_are_its_own: bool,
}

impl Traits {
    /// The traits of a device on the adapter `info`. With `as_gpu` they are chosen as if the adapter were a GPU.
    pub fn new(
        info: &wgpu::AdapterInfo,
        features: wgpu::Features,
        limits: wgpu::Limits,
        tile: Option<Tile>,
        as_gpu: bool,
    ) -> Self {
        /// Intel's PCI vendor number. On Intel a thread has 128 registers for each lane, and the tiles that it
        /// multiplies take most of them. To fetch tiles ahead, Mesa's compiler would spill them: 96 stores and 174
        /// loads.
        const INTEL: u32 = 0x8086;
        /// Drivers that round, as the doctor has shown. (AMD's driver in Mesa truncates, as its machine code shows.)
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

    /// Whether the device has the features that `kernel` needs. If the kernel uses cooperative matrices, the device
    /// must have a tile. If it uses only subgroups, they must all have one size.
    pub fn supports(&self, kernel: &Kernel) -> bool {
        let needs = kernel.features;
        self.features.contains(needs)
            && match needs.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
                true => self.tile.is_some(),
                false => !needs.contains(wgpu::Features::SUBGROUP) || self.has_octets(),
            }
    }

    /// Whether all subgroups have one known size of at least eight threads, so that they hold octets, which share their
    /// loads.
    pub fn has_octets(&self) -> bool {
        const OCTET: u32 = 8;
        let [fewest, most] = self.subgroup_sizes;
        self.features.contains(wgpu::Features::SUBGROUP) && fewest >= OCTET && fewest == most
    }

    /// Threads of a subgroup, if all subgroups have one size from 8 to 64.
    pub fn lanes(&self) -> Option<u32> {
        Some(self.subgroup_sizes[0]).filter(|&lanes| self.has_octets() && lanes <= 64)
    }

    /// Whether all subgroups have the same number of threads.
    pub fn subgroups_are_alike(&self) -> bool {
        self.subgroup_sizes[0] == self.subgroup_sizes[1]
    }

    /// Whether a workgroup of `threads` threads and `memory` bytes of workgroup memory fits the device.
    pub fn has_room(&self, threads: u32, memory: u32) -> bool {
        let limits = &self.limits;
        threads <= limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x)
            && memory <= limits.max_compute_workgroup_storage_size
    }

    /// Rows and columns of a cooperative matrix. If the device has none, those of the smallest shape.
    pub fn side(&self) -> u32 {
        self.tile.unwrap_or_default().side()
    }
}
