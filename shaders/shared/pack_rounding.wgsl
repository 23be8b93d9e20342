// Two numbers as f16, rounded to nearest, for drivers whose pack2x16float rounds to nearest.
fn pack(value: vec2<f32>) -> u32 {
    return pack2x16float(value);
}
