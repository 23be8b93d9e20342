// The mean over heads of each patch token's keys, scaled to unit length. Eight threads compute one key.
#import shared/row_reduce.wgsl
#import shared/unit_key.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) counts: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = grid_index(group, counts) * ROWS + thread / LANES;
    // Threads past the last key repeat it and store nothing, so that barriers stay in uniform control flow.
    let part = part_of(min(index, count_of_keys() - 1u), thread % LANES);
    let square = row_sum(squares_of(part), thread);
    if index < count_of_keys() {
        store(index, part, square);
    }
}
