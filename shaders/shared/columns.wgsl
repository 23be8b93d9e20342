// Four neighbouring columns of a matrix, which a lane has of every row. The shader that imports this binds `w`, the matrix as
// vec4s, and `params`: patches, N; stride, elements from one row to the next; shift, elements before a row's first column.

override ALIGNED: bool = false; // whether rows are of whole vec4s

// The first column is `quad` vec4s behind where a row begins.
struct Columns {
    quad: u32,
    index: vec4<u32>, // may wrap below 0
}

fn columns_of(quad: u32) -> Columns {
    return Columns(min(quad, params.stride / 4u - 1u), quad * 4u - params.shift + vec4(0u, 1u, 2u, 3u));
}

fn element(at: u32) -> f32 {
    return w[at / 4u][at % 4u];
}

// Four elements of the row that begins at `row`; what is not among its columns is anything.
fn four(row: u32, columns: Columns) -> vec4<f32> {
    if ALIGNED {
        return w[row / 4u + columns.quad];
    }
    let at = row + params.shift + min(columns.index, vec4(params.patches - 1u));
    return vec4(element(at.x), element(at.y), element(at.z), element(at.w));
}
