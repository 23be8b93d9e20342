// Assigns all dropped tokens of an image to a single kept token, the one with the lowest score (ties go to the lower
// index), and weights the fused tokens by their scores. This is the fused token of EViT. One workgroup handles one
// image.
#import shared/float.wgsl

struct Params {
    patches: u32, // N
    dropped: u32, // R
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> score: array<f32>;            // [B, N]
@group(0) @binding(2) var<storage, read> order: array<u32>;            // [B, N]: kept, then dropped tokens
@group(0) @binding(3) var<storage, read_write> assigned: array<u32>;   // [B, R]: index of the kept token
@group(0) @binding(4) var<storage, read_write> connection: array<f32>; // [B, R]: score of the dropped token
@group(0) @binding(5) var<storage, read_write> diagonal: array<f32>;   // [B, R]: score of the kept token

var<workgroup> lowest_keys: array<u32, 64>;
var<workgroup> lowest_items: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let first = group.x * params.patches;
    let kept = params.patches - params.dropped;
    var key = 0u;
    var item = 0xffffffffu;
    for (var place = thread; place < kept; place += 64u) {
        let token = order[first + place];
        let candidate = descending_key(score[first + token]);
        if item == 0xffffffffu || candidate > key || (candidate == key && token < item) {
            key = candidate;
            item = token;
        }
    }
    lowest_keys[thread] = key;
    lowest_items[thread] = item;
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if thread < half {
            let other_key = lowest_keys[thread + half];
            let other_item = lowest_items[thread + half];
            // A thread that found no token has key 0 and the largest index, so it loses to every other.
            if other_key > lowest_keys[thread]
                || (other_key == lowest_keys[thread] && other_item < lowest_items[thread]) {
                lowest_keys[thread] = other_key;
                lowest_items[thread] = other_item;
            }
        }
    }
    workgroupBarrier();
    let target_token = lowest_items[0];
    for (var r = thread; r < params.dropped; r += 64u) {
        let out = group.x * params.dropped + r;
        assigned[out] = target_token;
        connection[out] = score[first + order[first + kept + r]];
        diagonal[out] = score[first + target_token];
    }
}
