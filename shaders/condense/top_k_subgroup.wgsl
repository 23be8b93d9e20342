// top_k.wgsl by octets.
#import condense/top_k_params.wgsl
#import shared/float.wgsl
#import shared/select_subgroup.wgsl

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> score: array<f32>;       // [B, N]
@group(0) @binding(2) var<storage, read_write> order: array<u32>; // [B, N]: kept, then dropped tokens
@group(0) @binding(3) var<storage, read_write> slot: array<u32>;  // [B, N]: place among the kept tokens, or DROPPED

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
) {
    let own = octet(subgroup, subgroup_size, invocation);
    let n = params.patches;
    let first = group.x * n;
    for (var i = own.index * 8u + own.lane; i < n; i += THREADS) {
        keys[i] = descending_key(score[first + i]);
    }
    select_kept(n, params.kept, first, own);
}
