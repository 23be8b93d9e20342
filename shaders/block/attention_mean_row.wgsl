// attention_mean.wgsl for one query of each image, which gives dominance. Eight threads compute one key, and each takes
// every eighth head.
#import block/attention_mean_params.wgsl
#import shared/grid.wgsl
#import shared/input.wgsl

override PROPORTIONAL: bool = false;

const SHARING: u32 = 8u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Input4>;        // [B, T, row4]
@group(0) @binding(2) var<storage, read> sizes: array<f32>;         // [B, T], read with PROPORTIONAL only
@group(0) @binding(3) var<storage, read> rows: array<vec2<f32>>;    // [B, H, T]: max logit, 1 / sum of exponentials
@group(0) @binding(4) var<storage, read_write> y: array<f32>;       // [B, 1, N]

var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let patches = params.tokens - params.prefix;
    let unit = grid_index(group, counts) * (64u / SHARING) + thread / SHARING;
    // Threads past the last key repeat it, and store nothing.
    let place = min(unit, patches * params.images - 1u);
    let image = place / patches;
    let key = params.prefix + place % patches;
    let q = (image * params.tokens + params.query) * params.row4;
    let k = (image * params.tokens + key) * params.row4 + params.key_offset4;
    var bias = 0.0;
    if PROPORTIONAL {
        bias = log(sizes[image * params.tokens + key]);
    }
    var sum = 0.0;
    for (var head = thread % SHARING; head < params.heads; head += SHARING) {
        let first = head * params.head4;
        var s = vec4<f32>();
        for (var d = first; d < first + params.head4; d++) {
            s += widen(qkv[q + d]) * widen(qkv[k + d]);
        }
        let row = rows[(image * params.heads + head) * params.tokens + params.query];
        sum += exp(dot(s, vec4(1.0)) * params.scale + bias - row.x) * row.y;
    }
    sums[thread] = sum;
    workgroupBarrier();
    if thread % SHARING == 0u && unit == place {
        var all = 0.0;
        for (var i = 0u; i < SHARING; i++) {
            all += sums[thread + i];
        }
        y[place] = all / f32(params.heads);
    }
}
