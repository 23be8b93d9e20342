// Four numbers as they are read: f32. (shared/input_f16.wgsl is the other choice.)
alias Input4 = vec4<f32>;

fn widen(stored: Input4) -> vec4<f32> {
    return stored;
}
