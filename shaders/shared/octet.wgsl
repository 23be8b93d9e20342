// An octet, eight neighbouring lanes of a subgroup, computes a tile together. Each lane loads a part that no other lane
// of the octet loads, and reads the rest from the other lanes' registers, which costs less than a load. Octets of a
// subgroup do not exchange data, so the results do not depend on the size of the subgroup. That size is a multiple of 8
// and the same for all subgroups.
const OCTETS: u32 = 8u; // in a workgroup of 64 threads

// One vec4 for each of eight rows. Indices must be constant once functions are inlined, so that the array stays in
// registers.
alias Rows = array<vec4<f32>, 8>;

struct Octet {
    index: u32, // of the octet in its workgroup
    first: u32, // the octet's first lane in the subgroup
    lane: u32,  // of this thread in the octet, 0 to 7
}

fn octet(subgroup: u32, subgroup_size: u32, invocation: u32) -> Octet {
    return Octet(subgroup * (subgroup_size / 8u) + invocation / 8u, invocation / 8u * 8u, invocation % 8u);
}

fn octet_max(value: f32) -> f32 {
    let pair = max(value, subgroupShuffleXor(value, 1u));
    let four = max(pair, subgroupShuffleXor(pair, 2u));
    return max(four, subgroupShuffleXor(four, 4u));
}

// Every lane gets the same bits, because at each step both lanes of a pair add the same two numbers.
fn octet_sum(value: f32) -> f32 {
    let pair = value + subgroupShuffleXor(value, 1u);
    let four = pair + subgroupShuffleXor(pair, 2u);
    return four + subgroupShuffleXor(four, 4u);
}

// y[r] += m x, where x is the value of lane r, for the eight rows r.
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

// y[r] += m x[r], where x is the array of lane `lane`, for the eight rows r.
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
