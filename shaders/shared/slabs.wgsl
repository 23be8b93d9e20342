// For a product by cooperative matrices, these functions load slabs of x and w into registers and store them in
// workgroup memory. The shader that imports this defines the size of a slab (SLAB_ROWS, SLAB_COLUMNS4, DEPTH4), the
// strides of its rows (LEFT_STRIDE8, RIGHT_STRIDE8), whether K is a WHOLE number of slabs, and the number THREADS of
// threads; it binds `params`, `x` and `w`.

#import shared/words.wgsl

// The place in a slab, with rows of `width4` vec4s, of the vec4 that a thread loads in its fetch number `i`.
// Neighbouring threads load neighbouring vec4s.
struct Spot {
    row: u32,
    column4: u32,
}

fn spot(i: u32, thread: u32, width4: u32) -> Spot {
    return Spot(thread / width4 + i * (THREADS / width4), thread % width4);
}

// The place in x (or in w) that a thread reads in its fetch number `i`, without the offset that changes from slab to
// slab. Rows and columns past the end repeat the last one, since results computed from them are never stored.
fn left_source(i: u32, thread: u32, first_row: u32) -> u32 {
    let at = spot(i, thread, DEPTH4);
    return min(first_row + at.row, params.rows - 1u) * params.inner4 + at.column4;
}

fn right_source(i: u32, thread: u32, first_column4: u32) -> u32 {
    let at = spot(i, thread, SLAB_COLUMNS4);
    return at.row * params.columns4 + min(first_column4 + at.column4, params.columns4 - 1u);
}

fn left_exists(i: u32) -> bool {
    return i * THREADS < SLAB_ROWS * DEPTH4;
}

fn right_exists(i: u32) -> bool {
    return i * THREADS < 4u * DEPTH4 * SLAB_COLUMNS4;
}

fn fetch_left(i: u32, thread: u32, source: u32, first4: u32) -> vec2<u32> {
    if left_exists(i) && (WHOLE || first4 + spot(i, thread, DEPTH4).column4 < params.inner4) {
        return x[source + first4];
    }
    return vec2<u32>();
}

fn fetch_right(i: u32, thread: u32, source: u32, first4: u32) -> vec2<u32> {
    if right_exists(i) && (WHOLE || first4 * 4u + spot(i, thread, SLAB_COLUMNS4).row < params.inner4 * 4u) {
        return w[source + first4 * 4u * params.columns4];
    }
    return vec2<u32>();
}

fn stage_left(i: u32, thread: u32, value: vec2<u32>) {
    if left_exists(i) {
        let at = spot(i, thread, DEPTH4);
        put_left4(at.row * 2u * LEFT_STRIDE8 + at.column4, halves(value));
    }
}

fn stage_right(i: u32, thread: u32, value: vec2<u32>) {
    if right_exists(i) {
        let at = spot(i, thread, SLAB_COLUMNS4);
        put_right4(at.row * 2u * RIGHT_STRIDE8 + at.column4, halves(value));
    }
}
