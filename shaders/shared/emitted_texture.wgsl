// What emitted_buffer.wgsl writes, into textures: a layer for each image, eight f16 or four f32 to a texel, and one texel
// more for what makes probabilities of them.
@group(0) @binding(5) var powers: texture_storage_2d_array<rgba32uint, write>; // [B, H * T, T / 8 rounded up, or twice that, + 1]

fn put_powers(to: Destination, a: vec4<f32>, b: vec4<f32>) {
    let eights = (params.tokens + 7u) / 8u;
    if WORDS4 == 2u {
        // Two lanes have eight of a row between them: the first lane of both takes one row's, the second the other's.
        let odd = to.lane % 2u == 1u;
        let given = subgroupShuffleXor(select(words(b).xy, words(a).xy, odd), 1u);
        let own = select(words(a).xy, words(b).xy, odd);
        let row = select(0u, 1u, odd);
        if row < to.queries && to.quad / 2u < eights {
            textureStore(
                powers,
                vec2(to.quad / 2u, to.first + row),
                to.image,
                select(vec4(own, given), vec4(given, own), odd),
            );
        }
        return;
    }
    if to.quad >= eights * 2u {
        return;
    }
    if to.queries > 0u { textureStore(powers, vec2(to.quad, to.first), to.image, words(a)); }
    if to.queries > 1u { textureStore(powers, vec2(to.quad, to.first + 1u), to.image, words(b)); }
}

fn put_softmax_row(image: u32, row: u32, index: u32, value: vec2<f32>) {
    let place = vec2((params.tokens + 7u) / 8u * WORDS4 / 2u, row);
    textureStore(powers, place, image, bitcast<vec4<u32>>(vec4(value, 0.0, 0.0)));
}
