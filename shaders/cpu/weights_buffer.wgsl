// The weights of a dense layer in a buffer, read two neighbouring vec4 columns at a time. The shader that imports this
// also imports shared/input.wgsl, and binds `params` with columns4, the layer's columns / 4.
@group(0) @binding(2) var<storage, read> w: array<Input8>; // [K, columns4 / 2], zero past the last column

// Whether rows of w are whole groups of eight numbers.
override EVEN: bool = true;

// Two vec4 columns of a row of w.
struct Pair {
    a: vec4<f32>,
    b: vec4<f32>,
}

// `column` and the next column, or the last columns if these do not exist.
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
