// Eight neighbouring lanes of a subgroup, an octet, make a tile together: a lane loads what no other of them does and
// has the rest from their registers, where a load would cost more. The octets of a subgroup know nothing of each other,
// so that results do not depend on its size, which is a multiple of 8 and the same for all.
const OCTETS: u32 = 8u; // in a workgroup of 64 threads

// A vec4 of each of eight rows. Index with what is constant once functions are inlined, so that it stays in registers.
alias Rows = array<vec4<f32>, 8>;

struct Octet {
    index: u32, // in its workgroup
    first: u32, // its first lane in the subgroup
    lane: u32,  // which of the eight this is
}

fn octet(subgroup: u32, subgroup_size: u32, invocation: u32) -> Octet {
    return Octet(subgroup * (subgroup_size / 8u) + invocation / 8u, invocation / 8u * 8u, invocation % 8u);
}

fn octet_max(value: f32) -> f32 {
    let pair = max(value, subgroupShuffleXor(value, 1u));
    let four = max(pair, subgroupShuffleXor(pair, 2u));
    return max(four, subgroupShuffleXor(four, 4u));
}

// In every lane the same bits: both sides of each sum are added in either order.
fn octet_sum(value: f32) -> f32 {
    let pair = value + subgroupShuffleXor(value, 1u);
    let four = pair + subgroupShuffleXor(pair, 2u);
    return four + subgroupShuffleXor(four, 4u);
}

// y[r] += m x of lane r.
fn multiply(y: ptr<function, Rows>, m: mat4x4<f32>, x: vec4<f32>, first: u32) {
    (*y)[0] += m * subgroupShuffle(x, first);
    (*y)[1] += m * subgroupShuffle(x, first + 1u);
    (*y)[2] += m * subgroupShuffle(x, first + 2u);
    (*y)[3] += m * subgroupShuffle(x, first + 3u);
    (*y)[4] += m * subgroupShuffle(x, first + 4u);
    (*y)[5] += m * subgroupShuffle(x, first + 5u);
    (*y)[6] += m * subgroupShuffle(x, first + 6u);
    (*y)[7] += m * subgroupShuffle(x, first + 7u);
}

// y[r] += m x[r] of one lane.
fn multiply_from(y: ptr<function, Rows>, m: mat4x4<f32>, x: ptr<function, Rows>, lane: u32) {
    (*y)[0] += m * subgroupShuffle((*x)[0], lane);
    (*y)[1] += m * subgroupShuffle((*x)[1], lane);
    (*y)[2] += m * subgroupShuffle((*x)[2], lane);
    (*y)[3] += m * subgroupShuffle((*x)[3], lane);
    (*y)[4] += m * subgroupShuffle((*x)[4], lane);
    (*y)[5] += m * subgroupShuffle((*x)[5], lane);
    (*y)[6] += m * subgroupShuffle((*x)[6], lane);
    (*y)[7] += m * subgroupShuffle((*x)[7], lane);
}
