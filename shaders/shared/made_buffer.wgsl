// A matrix of every image that is written four neighbouring columns at a time, in a buffer. The shader that imports this has
// PADDED, whether rows are padded to whole vec4s; Columns, which four; and `params`: stride, elements from row to row.
@group(0) @binding(4) var<storage, read_write> w: array<vec4<f32>>; // [B, N, stride]

const TEXELS: bool = false;

// Four elements of row i of an image of `rows`.
fn put(image: u32, rows: u32, i: u32, columns: Columns, value: vec4<f32>) {
    let row = (image * rows + i) * params.stride;
    if PADDED {
        if columns.exists { w[row / 4u + columns.quad] = value; }
        return;
    }
    let at = row + columns.first + vec4(0u, 1u, 2u, 3u);
    if columns.real.x { w[at.x / 4u][at.x % 4u] = value.x; }
    if columns.real.y { w[at.y / 4u][at.y % 4u] = value.y; }
    if columns.real.z { w[at.z / 4u][at.z % 4u] = value.z; }
    if columns.real.w { w[at.w / 4u][at.w % 4u] = value.w; }
}
