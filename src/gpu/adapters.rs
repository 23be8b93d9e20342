//! Lists the adapters of this machine and chooses one of them.

use crate::error::{Error, Result};

/// One adapter of this machine, as [`Context::adapters`](super::Context::adapters) lists it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AdapterSummary {
    /// Name, driver, backend, device type.
    pub info: wgpu::AdapterInfo,
    /// Features of the adapter, beyond those that every adapter has.
    pub features: wgpu::Features,
    /// The largest sizes that the adapter supports.
    pub limits: wgpu::Limits,
}

/// The adapters of wgpu's primary backends, sorted by device type. `WGPU_BACKEND` narrows the list.
pub(super) async fn enumerate() -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    // In debug builds wgpu gives every object a name. To set a name, the Vulkan loader searches all devices without a
    // lock: loader 1.4.309 crashed when another thread opened or closed a device meanwhile. `WGPU_DEBUG=1` asks for
    // names.
    descriptor.flags.remove(wgpu::InstanceFlags::DEBUG);
    let instance = wgpu::Instance::new(descriptor.with_env());
    let mut adapters = instance.enumerate_adapters(wgpu::Backends::PRIMARY).await;
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    adapters
}

pub(super) fn choose(adapters: Vec<wgpu::Adapter>, wanted: Option<&str>) -> Result<wgpu::Adapter> {
    const OP: &str = "choose adapter";
    let names: Vec<String> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
    let index = match wanted {
        None => 0,
        Some(text) => match text.parse::<usize>() {
            Ok(number) => number,
            Err(_) => {
                names.iter().position(|name| name.to_lowercase().contains(&text.to_lowercase())).unwrap_or(usize::MAX)
            }
        },
    };
    adapters.into_iter().nth(index).ok_or_else(|| {
        if names.is_empty() {
            let expected = "a Vulkan, Metal or DX12 driver (on Debian and Ubuntu: apt-get install mesa-vulkan-drivers)";
            Error::no_adapter(OP, expected, "no adapter at all")
        } else {
            let listed: Vec<String> = names.iter().enumerate().map(|(i, name)| format!("{i}: {name}")).collect();
            Error::no_adapter(OP, format!("one of [{}]", listed.join("; ")), wanted.unwrap_or_default())
        }
    })
}
