// The selection of the tokens to keep by given scores. One workgroup handles one image.
#import condense/top_k_params.wgsl
#import shared/float.wgsl
#import shared/select.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> score: array<f32>;       // [B, N]
@group(0) @binding(2) var<storage, read_write> order: array<u32>; // [B, N]: kept, then dropped tokens
@group(0) @binding(3) var<storage, read_write> slot: array<u32>;  // [B, N]: place among the kept tokens, or DROPPED

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let n = params.patches;
    let first = group.x * n;
    for (var i = thread; i < n; i += THREADS) {
        keys[i] = descending_key(score[first + i]);
    }
    select_kept(n, params.kept, first, thread);
}
