// The order in which kept and dropped tokens are listed. A shader that selects tokens binds
//
//   order [B, N]: the kept tokens, then the dropped ones, each in listing order;
//   slot [B, N]: a token's place among the kept tokens, or DROPPED.
const DROPPED: u32 = 0xffffffffu;

// With FIRST 0 or 1, each list begins with the tokens whose index has that parity (the two sets of ToMe).
override FIRST: u32 = 2u; // 2: ascending

// The index of the token at `place` in listing order.
fn listed(place: u32, n: u32) -> u32 {
    if FIRST > 1u {
        return place;
    }
    let count = (n + 1u - FIRST) / 2u;
    return select((place - count) * 2u + 1u - FIRST, place * 2u + FIRST, place < count);
}

// The tokens at four neighbouring places from `place` on; places past `last` repeat the token at `last`.
fn listed_four(place: u32, last: u32, n: u32) -> vec4<u32> {
    return vec4(
        listed(place, n),
        listed(min(place + 1u, last), n),
        listed(min(place + 2u, last), n),
        listed(min(place + 3u, last), n),
    );
}

// Lists a token as kept, after `place` other kept tokens.
fn list_kept(first: u32, token: u32, place: u32) {
    order[first + place] = token;
    slot[first + token] = place;
}

// Lists a token as dropped. It has place i in listing order, and `place` of the tokens before it are kept.
fn list_dropped(first: u32, token: u32, kept: u32, i: u32, place: u32) {
    order[first + kept + i - place] = token;
    slot[first + token] = DROPPED;
}
