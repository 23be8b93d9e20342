// Four numbers as a kernel writes them: f32. (shared/output_f16.wgsl writes f16.)
alias Output4 = vec4<f32>;

fn narrow(value: vec4<f32>) -> Output4 {
    return value;
}

fn widen_output(stored: Output4) -> vec4<f32> {
    return stored;
}
