// Adds bias, activation and addends to a matrix product and stores it; shared by all kernels of dense layers. The
// shader that imports this binds `params` (rows, columns4), `bias`, `y`, `residual` and `rows`.
#import shared/activation.wgsl
#import shared/output.wgsl

override ACCUMULATE: bool = false;
override GATHER: bool = false;

// The bias of four columns. A thread loads it once for all the rows that it computes.
fn bias_of(column4: u32) -> vec4<f32> {
    return bias[min(column4, params.columns4 - 1u)];
}

// The row of `residual` that is added to a row of y. A thread looks it up once for all the columns that it computes.
fn residual_row(row: u32) -> u32 {
    if GATHER {
        return rows[min(row, params.rows - 1u)];
    }
    return row;
}

// The sum of the values that four columns of a row are added to: y with ACCUMULATE, `residual` with GATHER. Outside y
// the result is a valid load, but meaningless.
fn addend(row: u32, source: u32, column4: u32) -> vec4<f32> {
    var value = vec4<f32>(0.0);
    let column = min(column4, params.columns4 - 1u);
    if ACCUMULATE {
        value += widen_output(y[min(row, params.rows - 1u) * params.columns4 + column]);
    }
    if GATHER {
        value += residual[source * params.columns4 + column];
    }
    return value;
}

// Writes four columns of a row, unless they lie outside y.
fn store_onto(before: vec4<f32>, row: u32, column4: u32, product: vec4<f32>, own_bias: vec4<f32>) {
    if row >= params.rows || column4 >= params.columns4 {
        return;
    }
    var value = product + own_bias;
    if ACTIVATION != 0u {
        value = activate(value);
    }
    y[row * params.columns4 + column4] = narrow(value + before);
}

fn store(row: u32, source: u32, column4: u32, product: vec4<f32>, own_bias: vec4<f32>) {
    store_onto(addend(row, source, column4), row, column4, product, own_bias);
}

// Stores two vec4s of columns of one row.
fn store_two(row: u32, columns: vec2<u32>, a: vec4<f32>, b: vec4<f32>, biases: array<vec4<f32>, 2>) {
    let source = residual_row(row);
    store(row, source, columns.x, a, biases[0]);
    store(row, source, columns.y, b, biases[1]);
}
