// The four neighbouring columns of a matrix that a lane reads in every row. The shader that imports this binds `params`
// with two fields: stride, the elements from one row to the next; shift, the elements before a row's first column.

// The first of the four columns lies `quad` vec4s after the start of a row.
struct Columns {
    quad: u32,
    index: vec4<u32>, // the four column indices; they wrap below 0 inside the shift
}

fn columns_of(quad: u32) -> Columns {
    return Columns(min(quad, params.stride / 4u - 1u), quad * 4u - params.shift + vec4(0u, 1u, 2u, 3u));
}
