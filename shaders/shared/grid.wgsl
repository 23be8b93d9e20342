// The index of a workgroup in a one-dimensional dispatch that the host folded into x and y (gpu::grid).
fn grid_index(group: vec3<u32>, counts: vec3<u32>) -> u32 {
    return group.x + group.y * counts.x;
}
