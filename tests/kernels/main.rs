//! Every kernel against its CPU twin, over awkward sizes. One file per shader stem.

mod linear;

use std::sync::OnceLock;

use tcvit::{Context, doctor};

/// One device for all tests of this binary.
pub fn gpu() -> &'static Context {
    static GPU: OnceLock<Context> = OnceLock::new();
    GPU.get_or_init(|| Context::blocking().expect("a Vulkan, Metal or DX12 adapter (scripts/test installs Mesa's)"))
}

/// Fails unless `kernel` agrees with its twin at every size.
pub fn sweep<const D: usize>(kernel: &str, sizes: impl IntoIterator<Item = [usize; D]>) {
    let mut count = 0;
    for size in sizes {
        count += 1;
        let finding = doctor::check(gpu(), kernel, &size, count).unwrap();
        assert!(finding.passed(), "{kernel} at {}: {:?}", finding.size, finding.outcome);
    }
    assert!(count > 0, "an empty sweep proves nothing");
}
