// Each dropped token q goes to the kept token p with the largest C[q, p]; ties go to the lower index, NaN never wins
// against a number. With PARITY 0 or 1 only kept tokens whose index has that parity are candidates (ToMe's second set).
// One workgroup for each dropped token.
#import shared/float.wgsl

struct Params {
    patches: u32, // N
    dropped: u32, // R
}

override PARITY: u32 = 2u; // 2: any

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<f32>;             // C[q, :] for the dropped [B, R, N]
@group(0) @binding(2) var<storage, read> slot: array<u32>;             // [B, N]
@group(0) @binding(3) var<storage, read_write> assigned: array<u32>;   // [B, R]: index of p among incoming tokens
@group(0) @binding(4) var<storage, read_write> connection: array<f32>; // [B, R]: C[q, p]

const DROPPED: u32 = 0xffffffffu;
const NONE: u32 = 0xffffffffu;

var<workgroup> best_keys: array<u32, 64>;
var<workgroup> best_items: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let image = group.y;
    let out = image * params.dropped + group.x;
    let row = out * params.patches;
    var key = 0xffffffffu;
    var item = NONE;
    for (var p = thread; p < params.patches; p += 64u) {
        if slot[image * params.patches + p] != DROPPED && (PARITY > 1u || p % 2u == PARITY) {
            let candidate = descending_key(rows[row + p]);
            if item == NONE || candidate < key {
                key = candidate;
                item = p;
            }
        }
    }
    best_keys[thread] = key;
    best_items[thread] = item;
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if thread < half {
            let other_key = best_keys[thread + half];
            let other_item = best_items[thread + half];
            // NONE is the largest index, so it loses every tie.
            if other_key < best_keys[thread]
                || (other_key == best_keys[thread] && other_item < best_items[thread]) {
                best_keys[thread] = other_key;
                best_items[thread] = other_item;
            }
        }
    }
    if thread == 0u {
        assigned[out] = best_items[0];
        connection[out] = rows[row + best_items[0]];
    }
}
