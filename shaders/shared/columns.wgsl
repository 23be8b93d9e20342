// Four neighbouring columns of a matrix, which a lane has of every row. The shader that imports this has `params`: stride,
// elements from one row to the next; shift, elements before a row's first column.

// The first column is `quad` vec4s behind where a row begins.
struct Columns {
    quad: u32,
    index: vec4<u32>, // may wrap below 0
}

fn columns_of(quad: u32) -> Columns {
    return Columns(min(quad, params.stride / 4u - 1u), quad * 4u - params.shift + vec4(0u, 1u, 2u, 3u));
}
