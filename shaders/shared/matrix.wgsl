// A matrix of every image that is read four neighbouring columns at a time. A row is known by its first
// element's index, less what lies before its first column. The shader that imports this binds `params`: patches, N, the
// columns; stride, elements from one row to the next; shift, elements before a row's first column.
#import shared/columns.wgsl

@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>; // [B, rows, stride]

override ALIGNED: bool = false; // whether rows are of whole vec4s

// Row i of an image that has `rows`.
fn row_of(image: u32, rows: u32, i: u32) -> u32 {
    return (image * rows + i) * params.stride;
}

// From one row to the next.
fn row_step() -> u32 {
    return params.stride;
}

fn element(row: u32, column: u32) -> f32 {
    let at = row + params.shift + column;
    return w[at / 4u][at % 4u];
}

// Four elements of a row; what is not among its columns is anything.
fn four(row: u32, columns: Columns) -> vec4<f32> {
    if ALIGNED {
        return w[row / 4u + columns.quad];
    }
    let column = min(columns.index, vec4(params.patches - 1u));
    return vec4(element(row, column.x), element(row, column.y), element(row, column.z), element(row, column.w));
}
