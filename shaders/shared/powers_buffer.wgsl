// Powers that attention emitted, in a buffer. A row is known by where it begins. The shader that imports this imports
// shared/input.wgsl, and binds `params`: tokens, T; heads, H; and `rows`.
@group(0) @binding(1) var<storage, read> powers: array<Input8>; // [B, H, T, T / 8, rounded up]

// The row of query number `query` of an image's heads one after another.
fn row_of_powers(image: u32, query: u32) -> u32 {
    return (image * params.heads * params.tokens + query) * ((params.tokens + 7u) / 8u);
}

// From one row to the next.
fn powers_step() -> u32 {
    return (params.tokens + 7u) / 8u;
}

// Eight neighbouring powers.
fn eight_powers(row: u32, eight: u32) -> Input8 {
    return powers[row + eight];
}

// The largest logit and 1 / the sum of powers of row number `index` of all.
fn softmax_row(index: u32, row: u32) -> vec2<f32> {
    return rows[index];
}
