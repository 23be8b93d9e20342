// Two numbers as f16, rounded to nearest on every driver. WGSL lets pack2x16float truncate, as AMD's driver does: its
// error is twice as large and always towards zero, and it turns numbers above 65,504 into 65,504. So the numbers are
// rounded to 11 significant bits before they are packed, or made infinite. Below 2^-14, where f16 has fewer significant
// bits, the driver may truncate, with an error of at most 2^-24.
fn pack(value: vec2<f32>) -> u32 {
    let bits = bitcast<vec2<u32>>(value);
    let magnitude = bits & vec2(0x7fffffffu);
    let nearest = (bits + vec2(0x0fffu) + ((bits >> vec2(13u)) & vec2(1u))) & vec2(0xffffe000u);
    let infinite = (bits & vec2(0x80000000u)) | vec2(0x7f800000u);
    let finite = select(nearest, bits, magnitude < vec2(0x38800000u));
    // 65,504 is the largest f16. Numbers from 65,520 on round to 65,536, which f16 cannot represent, and become
    // infinite.
    let whole = select(finite, infinite, magnitude >= vec2(0x477ff000u));
    return pack2x16float(bitcast<vec2<f32>>(select(whole, bits, magnitude > vec2(0x7f800000u))));
}
