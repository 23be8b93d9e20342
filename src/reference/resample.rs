//! Reference of `embed/resample.wgsl`.

use crate::kernels::resample::{BYTES, Job, Params};

/// One pass of the first `images` jobs of the pass over `source`, with the windows in `batch`, into `out`.
pub fn resample(batch: &[u32], source: &[u32], out: &mut [u32], params: &Params, images: usize) {
    const HALF: i64 = 1 << 21;
    let words = size_of::<Job>() / 4;
    let jobs = &batch[BYTES + (params.last * params.images) as usize * words..];
    let bytes: &[u8] = bytemuck::cast_slice(source);
    let (side, area) = (params.side as usize, (params.side * params.side) as usize);
    for job in jobs.chunks_exact(words).take(images) {
        let job: Job = *bytemuck::from_bytes(bytemuck::cast_slice(job));
        for line in 0..job.lines as usize {
            for window in 0..side {
                let [first, weights, taps] = [0, 1, 2].map(|field| batch[job.windows as usize + window * 3 + field]);
                let sum = |channel: usize| {
                    let taps = (0..taps as usize).map(|tap| {
                        let pixel = line * job.line_step as usize + (first as usize + tap) * job.tap_step as usize;
                        let byte = bytes[job.source as usize + pixel * params.pixel_bytes as usize + channel];
                        i64::from(batch[weights as usize + tap] as i32) * i64::from(byte)
                    });
                    ((taps.sum::<i64>() + HALF) >> 22).clamp(0, 255) as u32
                };
                let at = (job.target_first + line as u32 * job.target_line + window as u32 * job.target_step) as usize;
                if params.last == 0 {
                    out[at] = sum(0) | sum(1) << 8 | sum(2) << 16;
                } else {
                    for channel in 0..3 {
                        out[at + channel * area] = batch[channel * 256 + sum(channel) as usize];
                    }
                }
            }
        }
    }
}
