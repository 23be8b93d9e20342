// Tests of a float by its bits, since drivers may compile comparisons on the assumption that no operand is NaN.

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

// A key whose ascending order is the descending order of x. Both zeros have the same key, and NaN has the largest key.
fn descending_key(x: f32) -> u32 {
    if is_nan(x) {
        return 0xffffffffu;
    }
    var bits = bitcast<u32>(x);
    if (bits & 0x7fffffffu) == 0u {
        bits = 0u;
    }
    let ascending = select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
    return ~ascending;
}
