//! Measures GPU time per kernel. Each dispatch gets its own compute pass with timestamps around it, because timestamps
//! inside a pass can land on the wrong side of a barrier.

use super::{Context, Recording, Section, download_async};
use crate::error::{Error, Result};

/// GPU time of one dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// The stage: `input`, `embed`, `block`, `condense` or `head`.
    pub stage: &'static str,
    /// The block, counted from 0, if the stage belongs to a block.
    pub block: Option<usize>,
    /// The kernel's name.
    pub kernel: &'static str,
    /// Nanoseconds between the first and the last command of the pass.
    pub nanoseconds: f64,
}

/// Runs `recording` once and times every dispatch in it.
///
/// # Errors
/// [`Error::Device`] when the adapter has no timestamp queries or fails.
pub fn profile(context: &Context, recording: &Recording) -> Result<Vec<KernelTime>> {
    pollster::block_on(profile_async(context, recording))
}

/// Like [`profile`], as a future. On native targets it blocks the thread that polls it.
///
/// # Errors
/// As [`profile`].
pub async fn profile_async(context: &Context, recording: &Recording) -> Result<Vec<KernelTime>> {
    const OP: &str = "profile";
    // A query set holds at most this many pairs of queries. A longer recording is timed in pieces.
    const PAIRS: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;
    if !context.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) {
        return Err(Error::device(OP, "a device with TIMESTAMP_QUERY", format!("{} without it", context.describe())));
    }
    let period = f64::from(context.queue().get_timestamp_period());
    let mut times = Vec::with_capacity(recording.len());
    for steps in recording.steps.chunks(PAIRS) {
        let count = steps.len() as u32 * 2;
        let resolved = context.checked(OP, || {
            let device = context.device();
            let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("profile"),
                ty: wgpu::QueryType::Timestamp,
                count,
            });
            let resolved = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("profile"),
                size: u64::from(count) * 8,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            });
            let mut encoder = device.create_command_encoder(&Default::default());
            for (step, index) in steps.iter().zip(0..) {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some(&step.label()),
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &queries,
                        beginning_of_pass_write_index: Some(index * 2),
                        end_of_pass_write_index: Some(index * 2 + 1),
                    }),
                });
                step.encode(&mut pass);
            }
            encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
            context.queue().submit([encoder.finish()]);
            Ok(resolved)
        })?;
        let ticks: Vec<u64> = download_async(context, &resolved, count as usize).await?;
        times.extend(steps.iter().zip(ticks.chunks_exact(2)).map(|(step, pair)| {
            let (Section { stage, block }, kernel) = step.place();
            KernelTime { stage, block, kernel, nanoseconds: pair[1].saturating_sub(pair[0]) as f64 * period }
        }));
    }
    Ok(times)
}
