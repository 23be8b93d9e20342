// One axis of the resize and crop of every photograph in a batch, in the integer arithmetic of Pillow: the host rounds
// weights to 22 fractional bits, sums have 32 bits, and the pixels between the two passes are bytes. So the pixels
// equal those of src/input/resample.rs to the bit, on every adapter. The first pass writes words of three bytes, the
// second the network's pixels.
#import shared/grid.wgsl

struct Params {
    images: u32,      // B, the most jobs that a pass can have
    side: u32,        // pixels along the network's image: windows of a photograph
    pixel_bytes: u32, // bytes of a pixel of `source`: 3, packed, or 4
    last: u32,        // 1: the second pass
}

struct Job {
    lines: u32,       // lines that the windows are applied to
    line_fastest: u32, // 1: neighbouring threads take neighbouring lines; 0: neighbouring windows
    source: u32,      // byte of `source` at which the photograph starts
    line_step: u32,   // source pixels from one line to the next
    tap_step: u32,    // source pixels from one tap to the next
    target_first: u32, // element of `out` at which the photograph starts
    target_line: u32, // elements of `out` from one line to the next
    target_step: u32, // elements of `out` from one window to the next
    windows: u32,     // word of `batch` with the first window: first tap, word of its first weight, number of taps
}

// Words of `batch` for each job (JOB), and for the table before the jobs (BYTES). The table is [3, 256] f32: the value
// of the network's pixel for each byte, by channel.
const JOB: u32 = 9u;
const BYTES: u32 = 768u;
// Fractional bits of a weight.
const BITS: u32 = 22u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> batch: array<u32>;      // [768] f32, [2, B, 9] jobs, windows and weights
@group(0) @binding(2) var<storage, read> source: array<u32>;     // bytes [height, width, 3 or 4] of each image
@group(0) @binding(3) var<storage, read_write> out: array<u32>;  // words of pixels, or [B, 3, side, side] f32

fn job_of(image: u32) -> Job {
    let at = BYTES + (params.last * params.images + image) * JOB;
    return Job(
        batch[at], batch[at + 1u], batch[at + 2u], batch[at + 3u], batch[at + 4u], batch[at + 5u], batch[at + 6u],
        batch[at + 7u], batch[at + 8u],
    );
}

fn load(byte: u32) -> vec3<i32> {
    let word = byte / 4u;
    let shift = (byte % 4u) * 8u;
    var bits = source[word] >> shift;
    if shift > 8u {
        bits |= source[word + 1u] << (32u - shift);
    }
    return vec3<i32>(vec3(bits, bits >> 8u, bits >> 16u) & vec3(255u));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let image = group.z;
    let job = job_of(image);
    let index = grid_index(group, counts) * 64u + thread;
    if index >= job.lines * params.side {
        return;
    }
    var line = index / params.side;
    var window = index % params.side;
    if job.line_fastest == 1u {
        line = index % job.lines;
        window = index / job.lines;
    }
    let at = job.windows + window * 3u;
    let taps = batch[at + 2u];
    let weights = batch[at + 1u];
    var byte = job.source + (line * job.line_step + batch[at] * job.tap_step) * params.pixel_bytes;
    // A half in fixed point, so that the shift rounds to nearest.
    var sums = vec3<i32>(1 << (BITS - 1u));
    for (var tap = 0u; tap < taps; tap++) {
        sums += bitcast<i32>(batch[weights + tap]) * load(byte);
        byte += job.tap_step * params.pixel_bytes;
    }
    let bytes = vec3<u32>(clamp(sums >> vec3(BITS), vec3(0), vec3(255)));
    let first = job.target_first + line * job.target_line + window * job.target_step;
    if params.last == 0u {
        out[first] = bytes.x | (bytes.y << 8u) | (bytes.z << 16u);
        return;
    }
    let area = params.side * params.side;
    out[first] = batch[bytes.x];
    out[first + area] = batch[256u + bytes.y];
    out[first + 2u * area] = batch[512u + bytes.z];
}
