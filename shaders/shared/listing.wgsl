// The order in which tokens that stay, and those that go, are listed. The shader that imports a selection binds
//   order [B, N]: kept, then dropped, as listed;   slot [B, N]: place among the kept, or DROPPED.
const DROPPED: u32 = 0xffffffffu;

// With FIRST 0 or 1, both lists have the tokens whose index has that parity before the others (ToMe's two sets).
override FIRST: u32 = 2u; // 2: ascending

// The index of the token at a place of the order in which tokens are listed.
fn listed(place: u32, n: u32) -> u32 {
    if FIRST > 1u {
        return place;
    }
    let count = (n + 1u - FIRST) / 2u;
    return select((place - count) * 2u + 1u - FIRST, place * 2u + FIRST, place < count);
}

// Four neighbouring places from `place` on; past `last` the last one again.
fn listed_four(place: u32, last: u32, n: u32) -> vec4<u32> {
    return vec4(
        listed(place, n),
        listed(min(place + 1u, last), n),
        listed(min(place + 2u, last), n),
        listed(min(place + 3u, last), n),
    );
}

// Notes that a token stays, as the one after `place` others.
fn list_kept(first: u32, token: u32, place: u32) {
    order[first + place] = token;
    slot[first + token] = place;
}

// Notes that a token, listed at place i, goes; `place` of those before it stay.
fn list_dropped(first: u32, token: u32, kept: u32, i: u32, place: u32) {
    order[first + kept + i - place] = token;
    slot[first + token] = DROPPED;
}
