// What a product becomes on its way into memory, for every way to make the product. The shader that imports this binds
// `params` (rows, columns4), `bias` and `y`.
#import shared/gelu.wgsl
#import shared/output.wgsl

override GELU: bool = false;
override ACCUMULATE: bool = false;

// Writes four columns of a row; what lies outside y is dropped.
fn store(row: u32, column4: u32, product: vec4<f32>) {
    if row >= params.rows || column4 >= params.columns4 {
        return;
    }
    var value = product + bias[column4];
    if GELU {
        value = gelu4(value);
    }
    let index = row * params.columns4 + column4;
    if ACCUMULATE {
        value += widen_output(y[index]);
    }
    y[index] = narrow(value);
}
