// One matrix for each image, read four neighbouring columns at a time. `row` in these functions is the index of the
// row's first element less `params.shift`. The shader that imports this binds `params` with: patches, the number N of
// columns; stride, the elements from one row to the next; shift, the elements before a row's first column.
#import shared/columns.wgsl

@group(0) @binding(1) var<storage, read> w: array<vec4<f32>>; // [B, rows, stride]

override ALIGNED: bool = false; // whether rows are of whole vec4s

// Row i of an image; an image has `rows` rows.
fn row_of(image: u32, rows: u32, i: u32) -> u32 {
    return (image * rows + i) * params.stride;
}

// Elements from one row to the next.
fn row_step() -> u32 {
    return params.stride;
}

fn element(row: u32, column: u32) -> f32 {
    let at = row + params.shift + column;
    return w[at / 4u][at % 4u];
}

// Four elements of a row. Elements outside the row's columns have arbitrary values.
fn four(row: u32, columns: Columns) -> vec4<f32> {
    if ALIGNED {
        return w[row / 4u + columns.quad];
    }
    let column = min(columns.index, vec4(params.patches - 1u));
    return vec4(element(row, column.x), element(row, column.y), element(row, column.z), element(row, column.w));
}
