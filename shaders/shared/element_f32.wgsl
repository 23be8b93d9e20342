// One number as it is stored: f32. (shared/element_f16.wgsl is the other choice.)
alias Element = f32;
