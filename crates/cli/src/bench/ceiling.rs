//! What this adapter can do at most, measured here and now: what utilisation is a share of.

use std::time::Duration;

use serde::Serialize;
use tcvit::low_level::ceiling::{Ceilings, ceilings};
use tcvit::low_level::gpu::Precision;
use tcvit::{Context, Result};

/// The best rates that were seen.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ceiling {
    /// Of f32 matrix products, in operations a second; a multiply-add is two.
    pub plain_flops_per_second: f64,
    /// Of products of numbers stored in f16, computed in f32.
    pub half_flops_per_second: f64,
    /// Of f16 products by cooperative matrices, where the adapter has them.
    pub cooperative_flops_per_second: Option<f64>,
    /// Of copies from buffer to buffer, those read and those written both counted.
    pub copy_bytes_per_second: f64,
    #[serde(skip)]
    measured: Ceilings,
}

impl Ceiling {
    /// What a network whose numbers are stored in `precision` could reach.
    pub fn flops_per_second(&self, precision: Precision) -> f64 {
        self.measured.of(precision)
    }
}

/// What measuring may take. Searching for the fastest shape takes most of it.
const BUDGET: Duration = Duration::from_secs(10);

/// Measures `context`'s adapter.
pub fn measure(context: &Context) -> Result<Ceiling> {
    let measured = ceilings(context, BUDGET)?;
    Ok(Ceiling {
        plain_flops_per_second: measured.plain,
        half_flops_per_second: measured.half,
        cooperative_flops_per_second: measured.cooperative,
        copy_bytes_per_second: measured.copy,
        measured,
    })
}
