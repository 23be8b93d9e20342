// Two numbers as f16, rounded to nearest, where the driver's own function does.
fn pack(value: vec2<f32>) -> u32 {
    return pack2x16float(value);
}
