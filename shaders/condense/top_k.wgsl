// The `kept` highest scores stay, the rest go. One workgroup for each image sorts (score, index) bitonically: ties go to
// the lower index, NaN ranks last. Kept tokens, then dropped ones, are listed in ascending order of index; with FIRST 0
// or 1, each list has the tokens whose index has that parity before the others (ToMe's two sets).
#import shared/float.wgsl

struct Params {
    patches: u32, // N, at most 2048
    kept: u32,    // N - R
    padded: u32,  // N rounded up to a power of two
}

override FIRST: u32 = 2u; // 2: ascending

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> score: array<f32>;       // [B, N]
@group(0) @binding(2) var<storage, read_write> order: array<u32>; // [B, N]: kept, then dropped
@group(0) @binding(3) var<storage, read_write> slot: array<u32>;  // [B, N]: place among the kept, or DROPPED

const THREADS: u32 = 256u;
const DROPPED: u32 = 0xffffffffu;

// Together the 16 KiB that every adapter has.
var<workgroup> keys: array<u32, 2048>;
var<workgroup> items: array<u32, 2048>;

fn before(key_a: u32, item_a: u32, key_b: u32, item_b: u32) -> bool {
    return key_a < key_b || (key_a == key_b && item_a < item_b);
}

fn sort(thread: u32) {
    for (var size = 2u; size <= params.padded; size *= 2u) {
        for (var stride = size / 2u; stride > 0u; stride /= 2u) {
            workgroupBarrier();
            for (var pair = thread; pair < params.padded / 2u; pair += THREADS) {
                let low = pair / stride * stride * 2u + pair % stride;
                let high = low + stride;
                let ascending = (low & size) == 0u;
                if before(keys[high], items[high], keys[low], items[low]) == ascending {
                    let key = keys[low];
                    let item = items[low];
                    keys[low] = keys[high];
                    items[low] = items[high];
                    keys[high] = key;
                    items[high] = item;
                }
            }
        }
    }
    workgroupBarrier();
}

// The index of the token at a place of the order in which tokens are listed.
fn listed(place: u32, n: u32) -> u32 {
    if FIRST > 1u {
        return place;
    }
    let count = (n + 1u - FIRST) / 2u;
    return select((place - count) * 2u + 1u - FIRST, place * 2u + FIRST, place < count);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let n = params.patches;
    let first = group.x * n;
    for (var i = thread; i < params.padded; i += THREADS) {
        // Padding sorts behind everything: a NaN has the same key but a lower index.
        keys[i] = DROPPED;
        items[i] = i;
        if i < n {
            keys[i] = descending_key(score[first + i]);
        }
    }
    sort(thread);

    // From ranks to flags by index: keys[i] = 1 where token i stays. `items` is read, then `keys` written.
    for (var rank = thread; rank < n; rank += THREADS) {
        keys[items[rank]] = select(0u, 1u, rank < params.kept);
    }
    workgroupBarrier();

    // Each thread counts the kept of its own run of places; an inclusive scan over threads places the runs.
    let run = (n + THREADS - 1u) / THREADS;
    let begin = min(thread * run, n);
    let end = min(begin + run, n);
    var count = 0u;
    for (var i = begin; i < end; i++) {
        count += keys[listed(i, n)];
    }
    items[thread] = count;
    for (var reach = 1u; reach < THREADS; reach *= 2u) {
        workgroupBarrier();
        var added = 0u;
        if thread >= reach {
            added = items[thread - reach];
        }
        workgroupBarrier();
        items[thread] += added;
    }
    workgroupBarrier();
    var place = items[thread] - count;
    for (var i = begin; i < end; i++) {
        let token = listed(i, n);
        if keys[token] == 1u {
            order[first + place] = token;
            slot[first + token] = place;
            place += 1u;
        } else {
            order[first + params.kept + i - place] = token;
            slot[first + token] = DROPPED;
        }
    }
}
