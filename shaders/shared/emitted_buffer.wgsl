// Powers as attention emits them, into a buffer. The shader that imports this imports shared/output.wgsl, has Destination,
// and binds `params`: tokens, T; heads, H; and `rows`.
@group(0) @binding(5) var<storage, read_write> powers: array<Output4>; // [B, H, T, T padded to eights], with EMITS only

fn put_powers(to: Destination, a: vec4<f32>, b: vec4<f32>) {
    let stride = (params.tokens + 7u) / 8u * 2u;
    let at = (to.image * params.heads * params.tokens + to.first) * stride + to.quad;
    if to.quad >= stride {
        return;
    }
    if to.queries > 0u { powers[at] = narrow(a); }
    if to.queries > 1u { powers[at + stride] = narrow(b); }
}

// The largest logit and 1 / the sum of powers of a row of the image: number `index` of all.
fn put_softmax_row(image: u32, row: u32, index: u32, value: vec2<f32>) {
    rows[index] = value;
}
