// Weights of a dense layer, read two neighbouring vec4 columns at a time, in a buffer. The shader that imports this imports
// shared/input.wgsl, and binds `params`: columns4, the layer's columns / 4.
@group(0) @binding(2) var<storage, read> w: array<Input8>; // [K, columns4 / 2], zero past the columns that exist

// Whether rows of w are of whole eights.
override EVEN: bool = true;

// Two columns of a row.
struct Pair {
    a: vec4<f32>,
    b: vec4<f32>,
}

// The column that is asked for and the next, or the last ones where they do not exist.
fn existing(column: u32) -> vec2<u32> {
    let last = params.columns4 - 1u;
    let b = min(column + 1u, last);
    return vec2(select(min(column, last), b - 1u, EVEN), b);
}

fn pair(k: u32, columns: vec2<u32>) -> Pair {
    let at = k * params.columns4 + columns;
    let eight = w[at.x / 2u];
    if EVEN {
        return Pair(widen_low(eight), widen_high(eight));
    }
    let other = w[at.y / 2u];
    return Pair(
        select(widen_low(eight), widen_high(eight), at.x % 2u == 1u),
        select(widen_low(other), widen_high(other), at.y % 2u == 1u),
    );
}
