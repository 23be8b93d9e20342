// One number as it is stored: f16. (Only for shaders that say `enable f16`; shared/output_f16.wgsl does without.)
alias Element = f16;
