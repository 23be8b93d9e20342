// Two numbers as f16, rounded to nearest, whatever the driver's own function does: WGSL lets it cut (AMD's does), which errs
// by twice as much, always towards zero, and makes 65,504 of what is larger. What it gets has 11 significant bits already,
// or is not finite. Below 2^-14, where f16 has less of them, it may cut: by at most 2^-24.
fn pack(value: vec2<f32>) -> u32 {
    let bits = bitcast<vec2<u32>>(value);
    let magnitude = bits & vec2(0x7fffffffu);
    let nearest = (bits + vec2(0x0fffu) + ((bits >> vec2(13u)) & vec2(1u))) & vec2(0xffffe000u);
    let infinite = (bits & vec2(0x80000000u)) | vec2(0x7f800000u);
    let finite = select(nearest, bits, magnitude < vec2(0x38800000u));
    // 65,520 is the first number that is nearer to 65,536, which f16 has not, than to 65,504.
    let whole = select(finite, infinite, magnitude >= vec2(0x477ff000u));
    return pack2x16float(bitcast<vec2<f32>>(select(whole, bits, magnitude > vec2(0x7f800000u))));
}
