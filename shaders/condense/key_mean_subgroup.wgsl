// key_mean.wgsl with an octet for each key, without barriers.
#import shared/octet.wgsl
#import shared/unit_key.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) invocation: u32,
) {
    let own = octet(subgroup, subgroup_size, invocation);
    let index = grid_index(group, counts) * OCTETS + own.index;
    if index >= count_of_keys() {
        return;
    }
    let part = part_of(index, own.lane);
    store(index, part, octet_sum(squares_of(part)));
}
