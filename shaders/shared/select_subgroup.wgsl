// The selection of select.wgsl by octets: of every eight keys a lane loads one and reads the others from its
// neighbours. A workgroup has THREADS threads, at most 256, in whole octets, for one image of up to 2,048 tokens.
#import shared/listing.wgsl
#import shared/octet.wgsl

override THREADS: u32 = 64u;
// The fewest places in a thread's run: 4 if loads of keys are dear, 1 if there are enough threads for all places.
override SHORTEST: u32 = 4u;

var<workgroup> keys: array<u32, 2048>;      // by token; the lowest keys are kept
var<workgroup> octet_counts: array<u32, 32>; // tokens kept among an octet's places

// The number of places in a thread's run: SHORTEST, or more (up to 32) if there are many tokens.
fn run_length(n: u32) -> u32 {
    return max(SHORTEST, (n + THREADS - 1u) / THREADS);
}

fn count_before(before: ptr<function, vec4<u32>>, key: u32, other: u32, own: vec4<u32>, tokens: vec4<u32>) {
    let first = (vec4(key) < own) | ((vec4(key) == own) & (vec4(other) < tokens));
    *before += select(vec4(0u), vec4(1u), first);
}

fn is_before(key: u32, other: u32, own: u32, token: u32) -> u32 {
    return u32((key < own) | ((key == own) & (other < token)));
}

// The ranks of four tokens: how many of all keys come before each. All lanes of an octet call this together, each with
// its own four tokens. Places past the end count as the largest key with the largest index, which comes before no
// token.
fn ranks(tokens: vec4<u32>, n: u32, lane: u32, first: u32) -> vec4<u32> {
    let own = vec4(keys[tokens.x], keys[tokens.y], keys[tokens.z], keys[tokens.w]);
    var before = vec4(0u);
    for (var other = 0u; other < n; other += 8u) {
        let mine = other + lane;
        let key = select(0xffffffffu, keys[min(mine, n - 1u)], mine < n);
        count_before(&before, subgroupShuffle(key, first), other, own, tokens);
        count_before(&before, subgroupShuffle(key, first + 1u), other + 1u, own, tokens);
        count_before(&before, subgroupShuffle(key, first + 2u), other + 2u, own, tokens);
        count_before(&before, subgroupShuffle(key, first + 3u), other + 3u, own, tokens);
        count_before(&before, subgroupShuffle(key, first + 4u), other + 4u, own, tokens);
        count_before(&before, subgroupShuffle(key, first + 5u), other + 5u, own, tokens);
        count_before(&before, subgroupShuffle(key, first + 6u), other + 6u, own, tokens);
        count_before(&before, subgroupShuffle(key, first + 7u), other + 7u, own, tokens);
    }
    return before;
}

// The rank of one token.
fn rank(token: u32, n: u32, lane: u32, first: u32) -> u32 {
    let own = keys[token];
    var before = 0u;
    for (var other = 0u; other < n; other += 8u) {
        let mine = other + lane;
        let key = select(0xffffffffu, keys[min(mine, n - 1u)], mine < n);
        before += is_before(subgroupShuffle(key, first), other, own, token);
        before += is_before(subgroupShuffle(key, first + 1u), other + 1u, own, token);
        before += is_before(subgroupShuffle(key, first + 2u), other + 2u, own, token);
        before += is_before(subgroupShuffle(key, first + 3u), other + 3u, own, token);
        before += is_before(subgroupShuffle(key, first + 4u), other + 4u, own, token);
        before += is_before(subgroupShuffle(key, first + 5u), other + 5u, own, token);
        before += is_before(subgroupShuffle(key, first + 6u), other + 6u, own, token);
        before += is_before(subgroupShuffle(key, first + 7u), other + 7u, own, token);
    }
    return before;
}

// The sum of `value` over the lanes of the octet that come before this one.
fn octet_before(value: u32, lane: u32) -> u32 {
    var sum = value;
    sum += select(0u, subgroupShuffleXor(value, 1u), (lane & 1u) == 1u);
    let pair = value + subgroupShuffleXor(value, 1u);
    sum += select(0u, subgroupShuffleXor(pair, 2u), (lane & 2u) == 2u);
    let four = pair + subgroupShuffleXor(pair, 2u);
    sum += select(0u, subgroupShuffleXor(four, 4u), (lane & 4u) == 4u);
    return sum - value;
}

// Fills `order` and `slot` from index `first` on. Any thread may have written any of keys[0..n] before. Call this from
// uniform control flow.
fn select_kept(n: u32, kept: u32, first: u32, own: Octet) {
    let run = run_length(n);
    let begin = min((own.index * 8u + own.lane) * run, n);
    let end = min(begin + run, n);
    workgroupBarrier();
    var stays = 0u; // bit b is set if the token at place begin + b is kept
    if run == 1u {
        let token = listed(min(begin, n - 1u), n);
        stays = u32(rank(token, n, own.lane, own.first) < kept);
    }
    // All lanes of an octet run the same number of steps, because they exchange keys in each.
    for (var step = 0u; run > 1u && step < run; step += 4u) {
        if own.index * 8u * run + step >= n {
            break;
        }
        let tokens = listed_four(min(begin + step, n - 1u), max(end, 1u) - 1u, n);
        let bits = select(vec4(0u), vec4(1u, 2u, 4u, 8u), ranks(tokens, n, own.lane, own.first) < vec4(kept));
        stays |= (bits.x | bits.y | bits.z | bits.w) << step;
    }
    // Bits past the end of the run repeat its last token, and are cleared. (A shift by 32 would shift by nothing.)
    stays &= select((1u << (end - begin)) - 1u, 0xffffffffu, end - begin > 31u);
    let count = countOneBits(stays);
    var place = octet_before(count, own.lane);
    if own.lane == 7u {
        octet_counts[own.index] = place + count;
    }
    workgroupBarrier();
    for (var before = 0u; before < own.index; before++) {
        place += octet_counts[before];
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
