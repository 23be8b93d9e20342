//! Which way to make a product.

use crate::gpu::{Context, Types};
use crate::kernels::linear::{Params, Variant, subgroup};

/// The variant for `params` on `context`'s device.
pub fn variant(context: &Context, _types: Types, params: &Params) -> Variant {
    if subgroup::lanes(context).is_some() && context.info().device_type == wgpu::DeviceType::Cpu {
        let rows = |eights: u32| params.rows.next_multiple_of(8 * eights) * [0, 14, 11, 10][eights as usize];
        return Variant::Subgroup { eights: (1..=3).rev().min_by_key(|&eights| rows(eights)).unwrap_or(3) };
    }
    Variant::Plain
}
