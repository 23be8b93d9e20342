//! The highest rates that this adapter reaches, measured during the bench. Utilisation is a share of them.

use std::time::Duration;

use serde::Serialize;
use tcvit::low_level::ceiling::{Ceilings, ceilings};
use tcvit::low_level::gpu::Precision;
use tcvit::{Context, Result};

/// The highest measured rates.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ceiling {
    /// Rate of f32 matrix products, in operations per second. A multiply-add is two operations.
    pub plain_flops_per_second: f64,
    /// Rate of matrix products of numbers stored in f16 and computed in f32, in operations per second.
    pub half_flops_per_second: f64,
    /// Rate of f16 products by cooperative matrices, in operations per second. `None` if the adapter has none.
    pub cooperative_flops_per_second: Option<f64>,
    /// Rate of copies from buffer to buffer, in bytes per second. Bytes read and bytes written both count.
    pub copy_bytes_per_second: f64,
    #[serde(skip)]
    measured: Ceilings,
}

impl Ceiling {
    /// The highest rate for a network whose numbers are stored in `precision`, in operations per second.
    pub fn flops_per_second(&self, precision: Precision) -> f64 {
        self.measured.of(precision)
    }
}

/// The time that the measurement may take. The search for the fastest shape takes most of it.
const BUDGET: Duration = Duration::from_secs(10);

/// Measures the adapter of `context`.
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
