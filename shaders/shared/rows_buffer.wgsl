// Rows of tokens that are read four numbers at a time, in a buffer: a row is known by the index of its first four. The
// shader that imports this binds `params`: tokens, T, and row4, vec4s from one token to the next.
#import shared/input.wgsl

@group(0) @binding(1) var<storage, read> x: array<Input4>; // [B, T, row4]

// A token's row, from vec4 `offset4` of it on.
fn row_of(image: u32, token: u32, offset4: u32) -> u32 {
    return (image * params.tokens + token) * params.row4 + offset4;
}

fn four(row: u32, d: u32) -> vec4<f32> {
    return widen(x[row + d]);
}
