// A ship-grey box between a sky and a sea: what the example's application renders.
struct Vertex {
    @builtin(position) position: vec4<f32>,
    @location(0) uv: vec2<f32>,
}

@vertex
fn vertex(@builtin(vertex_index) index: u32) -> Vertex {
    // One triangle that covers the target.
    let corner = vec2(f32(index & 1u) * 4.0 - 1.0, f32(index >> 1u) * 4.0 - 1.0);
    return Vertex(vec4(corner, 0.0, 1.0), vec2(corner.x, -corner.y) * 0.5 + 0.5);
}

@fragment
fn fragment(in: Vertex) -> @location(0) vec4<f32> {
    var colour = mix(vec3(0.25, 0.5, 0.9), vec3(0.75, 0.85, 0.95), in.uv.y * 1.6);
    if in.uv.y > 0.62 {
        colour = mix(vec3(0.05, 0.2, 0.3), vec3(0.02, 0.1, 0.2), in.uv.y);
    }
    let hull = abs(in.uv.x - 0.5) < 0.22 - max(in.uv.y - 0.55, 0.0) && in.uv.y > 0.53 && in.uv.y < 0.66;
    let bridge = abs(in.uv.x - 0.42) < 0.07 && in.uv.y > 0.42 && in.uv.y <= 0.53;
    if hull || bridge {
        colour = vec3(0.3, 0.3, 0.32);
    }
    return vec4(colour, 1.0);
}
