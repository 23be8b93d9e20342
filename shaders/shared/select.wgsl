// The `kept` tokens with the highest scores are kept and the others dropped, by one workgroup of 256 threads for each
// image of up to 2,048 tokens. A token's rank is the number of keys that come before its own; among equal keys, the
// lower index comes first. Counting ranks takes three barriers, where sorting takes dozens. Each thread ranks a run of
// neighbouring places of the listing order.
#import shared/listing.wgsl

const THREADS: u32 = 256u;

var<workgroup> keys: array<u32, 2048>; // by token; the lowest keys are kept
var<workgroup> run_counts: array<u32, 256>;

// The number of places in a thread's run: 4, or 5 to 8 for more than 1,024 tokens.
fn run_length(n: u32) -> u32 {
    return max(4u, (n + THREADS - 1u) / THREADS);
}

// The ranks of four tokens: how many of all keys come before each.
fn ranks(tokens: vec4<u32>, n: u32) -> vec4<u32> {
    let own = vec4(keys[tokens.x], keys[tokens.y], keys[tokens.z], keys[tokens.w]);
    var before = vec4(0u);
    for (var other = 0u; other < n; other++) {
        let key = vec4(keys[other]);
        before += select(vec4(0u), vec4(1u), (key < own) | ((key == own) & (vec4(other) < tokens)));
    }
    return before;
}

// Fills `order` and `slot` from index `first` on. Any thread may have written any of keys[0..n] before. Call this from
// uniform control flow.
fn select_kept(n: u32, kept: u32, first: u32, thread: u32) {
    let run = run_length(n);
    let begin = min(thread * run, n);
    let end = min(begin + run, n);
    workgroupBarrier();
    var stays = 0u; // bit b is set if the token at place begin + b is kept
    for (var place = begin; place < end; place += 4u) {
        let tokens = listed_four(place, end - 1u, n);
        let bits = select(vec4(0u), vec4(1u, 2u, 4u, 8u), ranks(tokens, n) < vec4(kept));
        stays |= (bits.x | bits.y | bits.z | bits.w) << (place - begin);
    }
    // Bits past the end of the run repeat its last token, and are cleared.
    stays &= (1u << (end - begin)) - 1u;
    run_counts[thread] = countOneBits(stays);
    workgroupBarrier();
    if begin == end {
        return;
    }
    var place = 0u;
    for (var before = 0u; before < thread; before++) {
        place += run_counts[before];
    }
    for (var i = begin; i < end; i++) {
        if ((stays >> (i - begin)) & 1u) == 1u {
            list_kept(first, listed(i, n), place);
            place += 1u;
        } else {
            list_dropped(first, listed(i, n), kept, i, place);
        }
    }
}
